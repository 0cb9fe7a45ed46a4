"""No token is written from a model with a byte that is not as it was fitted, from a pickle, or with another model's tokenizer."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from rungwise.core.errors import Corrupt, RungwiseError, UsageError
from rungwise.data import artefacts
from rungwise.data.store import Store
from rungwise.engines.fitted.decoding import Decoding
from rungwise.engines.fitted.files import MANIFEST, Files, read_folder, with_manifest
from rungwise.engines.fitted.generation import load_generator
from rungwise.engines.fitted.models import CONFIG, TOKENIZER, WEIGHTS
from tests.engines.fitted.language_models import byte_tokenizer, language_model

pytest.importorskip("torch")

FLIPS = 1_000
CUTS = 200
TINY = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}


def artefact() -> Files:
    return with_manifest(language_model("llama", **TINY))


def written(folder: Path, files: Files) -> Path:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def answers(files: Files) -> str:
    return load_generator(files, engine="transformers").generate(["where is it"], Decoding(max_tokens=2))[0].text


def refused(read: Callable[[], Files]) -> bool:
    """Whether reading and asking ends in Corrupt before the first token; any other end is an error of the test."""
    try:
        answers(read())
    except Corrupt:
        return True
    return False


def flips(sizes: dict[str, int]) -> list[tuple[str, int, int]]:
    """Bits of files: 1,000 of them, as many in a small file as in a large one, since a small one decides as much."""
    rng = random.Random(0)
    names = sorted(sizes)
    return [(name := names[turn % len(names)], rng.randrange(sizes[name]), rng.randrange(8)) for turn in range(FLIPS)]


def flipped(data: bytes, place: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1 << bit
    return bytes(changed)


def test_a_whole_artefact_answers(tmp_path: Path, store: Store) -> None:
    files = artefact()
    artefacts.save(store, "part", files)
    assert answers(read_folder(written(tmp_path / "model", files))) == answers(artefacts.load(store, "part")) == answers(files)


def test_every_flip_of_a_bit_in_a_folder_is_refused_before_the_first_token(tmp_path: Path) -> None:
    files = artefact()
    folder = written(tmp_path / "model", files)
    for name, place, bit in flips({name: len(data) for name, data in files.items()}):
        (folder / name).write_bytes(flipped(files[name], place, bit))
        assert refused(lambda: read_folder(folder)), f"bit {bit} of byte {place} of {name}"
        (folder / name).write_bytes(files[name])


def test_every_flip_of_a_bit_in_memory_is_refused_before_the_first_token() -> None:
    files = artefact()
    for name, place, bit in flips({name: len(data) for name, data in files.items()}):
        damaged = {**files, name: flipped(files[name], place, bit)}
        assert refused(lambda damaged=damaged: damaged), f"bit {bit} of byte {place} of {name}"  # type: ignore[misc]


def test_every_flip_of_a_bit_in_the_store_is_refused_before_the_first_token(store: Store) -> None:
    files = artefact()
    artefacts.save(store, "part", files)
    kept = [path for path in store.directory.rglob("*") if path.is_file() and path.read_bytes() in files.values()]
    assert len(kept) == len(files)
    whole = {path: path.read_bytes() for path in kept}
    named = {str(path): path for path in kept}
    for name, place, bit in flips({name: len(whole[path]) for name, path in named.items()}):
        path = named[name]
        path.chmod(0o600)
        path.write_bytes(flipped(whole[path], place, bit))
        assert refused(lambda: artefacts.load(store, "part")), f"bit {bit} of byte {place} of {name}"
        path.write_bytes(whole[path])


def test_every_cut_file_is_refused(tmp_path: Path, store: Store) -> None:
    files = artefact()
    artefacts.save(store, "part", files)
    kept = {path.read_bytes(): path for path in store.directory.rglob("*") if path.is_file() and path.stat().st_size}
    folder = written(tmp_path / "model", files)
    rng = random.Random(1)
    names = sorted(files)
    for turn in range(CUTS):
        name = names[turn % len(names)]
        short = files[name][: rng.randrange(len(files[name]))]
        for path, read in (
            (folder / name, lambda: read_folder(folder)),
            (kept[files[name]], lambda: artefacts.load(store, "part")),
        ):
            path.chmod(0o600)
            path.write_bytes(short)
            assert refused(read), f"{path} of {len(short)} bytes"
            path.write_bytes(files[name])


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, TOKENIZER, MANIFEST])
def test_a_file_that_is_missing_is_refused(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path / "model", artefact())
    (folder / name).unlink()
    if name == MANIFEST:
        assert answers(read_folder(folder))  # a model from elsewhere has none
    else:
        assert refused(lambda: read_folder(folder))


def test_a_file_that_the_manifest_does_not_name_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "model", {**artefact(), "chat_template.jinja": b"{{ messages }}"})
    assert refused(lambda: read_folder(folder))


def test_damaged_weights_without_a_manifest_are_still_no_crash(tmp_path: Path) -> None:
    files = language_model("llama", **TINY)
    rng = random.Random(2)
    for _ in range(100):
        name = rng.choice([CONFIG, WEIGHTS, TOKENIZER])
        damaged = {**files, name: files[name][: rng.randrange(len(files[name]))]}
        with pytest.raises(RungwiseError):
            answers(damaged)


class Boom:
    """A pickle that leaves a file behind when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pth", "model.pkl", "model.ckpt", "PYTORCH_MODEL.BIN"])
def test_pickled_weights_are_refused_unread(tmp_path: Path, name: str) -> None:
    ran = tmp_path / "ran"
    files = {one: data for one, data in language_model("llama", **TINY).items() if one != WEIGHTS}
    folder = written(tmp_path / "model", {**files, name: pickle.dumps(Boom(ran))})
    with pytest.raises(UsageError, match="pickle"):
        read_folder(folder)
    with pytest.raises(RungwiseError):
        answers({**files, name: pickle.dumps(Boom(ran))})
    assert not ran.exists()


def test_a_pickle_beside_safetensors_is_left_unread(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    files = language_model("llama", **TINY)
    folder = written(tmp_path / "model", {**files, "pytorch_model.bin": pickle.dumps(Boom(ran)), "optimizer.pt": b"anything"})
    found = read_folder(folder)
    assert found == files
    assert answers(found) == answers(files)
    assert not ran.exists()


def test_a_tokenizer_with_tokens_that_the_model_does_not_embed_is_refused() -> None:
    files = language_model("llama", **TINY, vocab_size=280)
    with pytest.raises(UsageError, match="another model's"):
        answers(files)
    assert answers({**language_model("llama", **TINY), **byte_tokenizer(290)}) is not None  # spare rows are no fault
