"""The certificate of one's own: strict clients accept it, unchanged programs call over it, and it stays while it fits."""

from __future__ import annotations

import os
import ssl
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from rungwise.core.errors import MissingExtra, StoreError
from rungwise.serve.certificate import SelfSigned, exports, self_signed
from tests.serve.bedrock.bedrock_rig import completion, rig

NOW = 1_800_000_000.0
DAY = 86_400.0


def test_a_strict_verifier_accepts_it_for_its_hosts_only(tmp_path: Path) -> None:
    files = self_signed(tmp_path / "tls", ["gateway.example", "10.0.0.7"], now=NOW)
    judge = [
        "openssl",
        "verify",
        "-x509_strict",
        "-purpose",
        "sslserver",
        "-attime",
        str(int(NOW)),
        "-CAfile",
        str(files.authority),
    ]
    for host in ("-verify_hostname localhost", "-verify_ip 127.0.0.1", "-verify_hostname gateway.example", "-verify_ip 10.0.0.7"):
        done = subprocess.run([*judge, *host.split(), str(files.certificate)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    for host in ("-verify_hostname other.example", "-verify_ip 10.0.0.8"):
        done = subprocess.run([*judge, *host.split(), str(files.certificate)], capture_output=True, text=True, check=False)
        assert done.returncode != 0


def test_it_stays_while_it_fits(tmp_path: Path) -> None:
    def bytes_of(files: SelfSigned) -> list[bytes]:
        return [path.read_bytes() for path in (files.authority, files.certificate, files.private_key)]

    first = bytes_of(self_signed(tmp_path, ["127.0.0.1"], now=NOW))
    assert bytes_of(self_signed(tmp_path, ["0.0.0.0"], now=NOW + 300 * DAY)) == first  # every address is no name
    other = bytes_of(self_signed(tmp_path, ["gateway.example"], now=NOW))
    assert other != first
    assert bytes_of(self_signed(tmp_path, [], now=NOW)) == other  # what it held for before, it goes on holding for
    assert bytes_of(self_signed(tmp_path, [], now=NOW + 370 * DAY)) != other  # less than 30 days were left


@pytest.mark.parametrize("name", ["ca.pem", "server.pem", "server.key"])
@pytest.mark.parametrize("damage", ["gone", "junk", "of another"])
def test_files_that_do_not_belong_together_are_made_anew(tmp_path: Path, name: str, damage: str) -> None:
    files = self_signed(tmp_path / "tls", [], now=NOW)
    broken = tmp_path / "tls" / name
    if damage == "gone":
        broken.unlink()
    elif damage == "junk":
        broken.write_bytes(b"-----BEGIN junk")
    else:
        self_signed(tmp_path / "other", [], now=NOW)
        broken.write_bytes((tmp_path / "other" / name).read_bytes())
    assert self_signed(tmp_path / "tls", [], now=NOW) == files
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.private_key)  # raises when they are no pair
    ssl.create_default_context(cafile=str(files.authority))


def test_only_its_owner_can_read_the_key(tmp_path: Path) -> None:
    files = self_signed(tmp_path / "tls", [], now=NOW)
    assert stat.S_IMODE(files.private_key.stat().st_mode) == 0o600
    assert stat.S_IMODE(files.authority.stat().st_mode) == 0o644  # programs of other users trust it too
    assert sorted(path.name for path in (tmp_path / "tls").iterdir()) == ["ca.pem", "server.key", "server.pem"]
    assert "PRIVATE" not in files.authority.read_text() + files.certificate.read_text()


def test_several_at_once_agree(tmp_path: Path) -> None:
    threads = [threading.Thread(target=self_signed, args=(tmp_path, []), kwargs={"now": NOW}) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before = (tmp_path / "server.pem").read_bytes()
    self_signed(tmp_path, [], now=NOW)
    assert (tmp_path / "server.pem").read_bytes() == before  # the last one left a set that belongs together


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        self_signed(tmp_path / "file", [], now=NOW)


def test_without_its_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingExtra, match=r"rungwise\[server\]"):
        self_signed(tmp_path, [], now=NOW)


def test_a_server_that_listens_everywhere_is_called_by_its_local_name(tmp_path: Path) -> None:
    files = self_signed(tmp_path, ["0.0.0.0"], now=NOW)
    for url in ("https://0.0.0.0:8000", "https://[::]:8000"):
        assert "=https://localhost:8000\n" in exports(url, files)
    assert "=https://10.0.0.7:8000/v1\n" in exports("https://10.0.0.7:8000", files)


BOTO3 = """
import boto3
client = boto3.client("bedrock-runtime")
answer = client.converse(modelId="help-desk", messages=[{"role": "user", "content": [{"text": "hi"}]}])
print(answer["output"]["message"]["content"][0]["text"])
stream = client.converse_stream(modelId="help-desk", messages=[{"role": "user", "content": [{"text": "hi"}]}])["stream"]
print([event["contentBlockDelta"]["delta"]["text"] for event in stream if "contentBlockDelta" in event])
"""


@pytest.mark.parametrize("way", ["bearer", "signed"])
def test_an_unchanged_boto3_program_calls_by_environment_variables_alone(tmp_path: Path, way: str) -> None:
    files = self_signed(tmp_path / "tls", [], now=time.time())
    with rig(tmp_path / "state", certificate=files.certificate, private_key=files.private_key) as server:
        server.project.answer = lambda ask: [completion("over TLS")] if ask.stream else completion("over TLS")
        told = exports(server.url, files).replace("=KEY ", f"={server.key} ")
        if way == "signed":
            told = told.replace("export AWS_BEARER_TOKEN_BEDROCK", "# export AWS_BEARER_TOKEN_BEDROCK")
            told += f"\nexport AWS_ACCESS_KEY_ID={server.key_id} AWS_SECRET_ACCESS_KEY={server.key}"
        bare = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        script = f"{told}\nexec {sys.executable} -c '{BOTO3}'"
        done = subprocess.run(["bash", "-c", script], env=bare, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == ["over TLS", "['over TLS']"]
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(server.url)  # who was told nothing does not trust it
