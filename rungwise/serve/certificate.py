"""A certificate of one's own for HTTPS: SDKs send bearer keys over nothing else. Clients trust it through one file.

A certificate authority signs one certificate and its key is thrown away, so that whoever trusts it trusts this server only.
"""

from __future__ import annotations

import ipaddress
import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rungwise.core.errors import MissingExtra, StoreError
from rungwise.data.lock import alone_in

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

VALID = timedelta(days=397)
"""The longest that Apple's systems accept."""
RENEWED_BEFORE = timedelta(days=30)
LOCAL = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE = frozenset({"0.0.0.0", "::", ""})


@dataclass(frozen=True, slots=True)
class SelfSigned:
    """PEM files: what clients trust, what the server shows, and the key that only its owner can read."""

    authority: Path
    certificate: Path
    private_key: Path


def self_signed(directory: Path, hosts: Iterable[str], *, now: float) -> SelfSigned:
    """The certificate of a folder for these names and addresses, made where it is missing, does not fit or ends soon.

    It always holds for this machine under its local names. While it fits it stays the same, so that what clients were told
    stays true. `now` is seconds since 1970. Raises MissingExtra, and StoreError when the folder cannot be written.
    """
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise MissingExtra("serve --tls self-signed", "server") from error
    files = SelfSigned(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    wanted = {*LOCAL, *hosts} - _EVERYWHERE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with alone_in(directory):
            had = _hosts(files, datetime.fromtimestamp(now, UTC))
            if had is None or not wanted <= had:
                _make(files, sorted(wanted | (had or set())), datetime.fromtimestamp(now, UTC))
    except OSError as error:
        raise StoreError(f"cannot write the certificate into {directory}: {error.strerror}. Choose another folder") from error
    return files


def exports(url: str, files: SelfSigned) -> str:
    """What to type so that programs with boto3 or OpenAI's SDK call this server, unchanged.

    A server that listens everywhere is called by its local name here; other machines use one that the certificate holds for.
    """
    for everywhere in ("//0.0.0.0:", "//[::]:"):
        url = url.replace(everywhere, "//localhost:")
    trusted = shlex.quote(str(files.authority.resolve()))
    return "\n".join(
        (
            "# boto3 and the AWS SDKs; make the key with: rungwise keys create",
            f"export AWS_ENDPOINT_URL_BEDROCK_RUNTIME={url}",
            f"export AWS_CA_BUNDLE={trusted}",
            "export AWS_BEARER_TOKEN_BEDROCK=KEY    # or: AWS_ACCESS_KEY_ID=ID-OF-THE-KEY AWS_SECRET_ACCESS_KEY=KEY",
            # boto3 reads the second name only, the other SDKs the first; any region will do
            'export AWS_REGION="${AWS_REGION:-us-east-1}" AWS_DEFAULT_REGION="${AWS_DEFAULT_REGION:-us-east-1}"',
            "# Anthropic's SDK for Bedrock",
            f"export ANTHROPIC_BEDROCK_BASE_URL={url}",
            "# OpenAI's SDKs",
            f"export OPENAI_BASE_URL={url}/v1",
            f"export SSL_CERT_FILE={trusted}",
            "export OPENAI_API_KEY=KEY",
        )
    )


def _hosts(files: SelfSigned, now: datetime) -> set[str] | None:
    """What the certificate on disk holds for; None where it is missing, damaged, about to end, or its files are no set."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
        shown = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = load_pem_private_key(files.private_key.read_bytes(), password=None)
        shown.verify_directly_issued_by(authority)
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return None
    if key.public_key() != shown.public_key() or not shown.not_valid_before_utc <= now < shown.not_valid_after_utc - RENEWED_BEFORE:
        return None
    return {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}


def _make(files: SelfSigned, hosts: list[str], now: datetime) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    signer, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _authority(signer, now)
    shown = _certificate(key, hosts, authority, signer, now)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(files.private_key, secret, 0o600)
    _write(files.certificate, shown.public_bytes(Encoding.PEM), 0o644)
    _write(files.authority, authority.public_bytes(Encoding.PEM), 0o644)


def _authority(key: EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    public = key.public_key()
    name = _name(f"Rungwise on this machine, {now:%Y-%m-%d}")
    return (
        _builder(name, name, public, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def _certificate(
    key: EllipticCurvePrivateKey, hosts: list[str], authority: x509.Certificate, signer: EllipticCurvePrivateKey, now: datetime
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    public = key.public_key()
    return (
        _builder(_name("Rungwise"), authority.subject, public, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative(host) for host in hosts]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )


def _builder(subject: x509.Name, issuer: x509.Name, public: object, now: datetime) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # a client whose clock is behind
        .not_valid_after(now - timedelta(days=1) + VALID)
    )


def _name(words: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, words)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Whole or not at all, and from the first byte readable only for whom it is meant."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
