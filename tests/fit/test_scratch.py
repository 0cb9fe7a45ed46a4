"""A language model from nothing but texts: it learns, is the same every time, and loads in plain transformers."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from rungwise.core.errors import CannotFit
from rungwise.engines.fitted.models import CAUSAL, WEIGHTS, load_model
from rungwise.fit.fit import Fit
from rungwise.fit.scaling import Plan
from rungwise.fit.scratch import fit_scratch

torch = pytest.importorskip("torch")

VERSES = [
    f"{one} and {other} went up the hill to fetch a pail of water.\n" for one in ("Jack", "Tom", "Ann") for other in "abcdefgh"
]
TEXT = "".join(VERSES) * 3
TINY = Plan(width=32, layers=2, heads=2, inner=64, context=16, batch=8, steps=80, rounds=2, characters=True, lr=1e-2)


@pytest.fixture(scope="module")
def fitted() -> Fit:
    return fit_scratch([TEXT], TINY)


def test_the_loss_falls_far_below_that_of_guessing(fitted: Fit) -> None:
    characters = len(set(TEXT))
    assert fitted.told["held_out_loss"] < 0.5 * math.log(characters)
    assert fitted.told["held_out_loss_2"] < fitted.told["held_out_loss_1"]
    assert len(fitted.trained.losses) == len(fitted.trained.grad_norms) == 80


def test_the_loss_is_told_by_character_too() -> None:
    found = fit_scratch([TEXT], replace(TINY, characters=False, vocabulary=300, steps=20)).told
    assert found["held_out_loss_per_character"] < found["held_out_loss"]


def test_equal_plans_give_equal_bytes(fitted: Fit) -> None:
    assert fit_scratch([TEXT], TINY).files == fitted.files
    assert fit_scratch([TEXT], replace(TINY, seed=1)).files[WEIGHTS] != fitted.files[WEIGHTS]


def test_loads_in_plain_transformers_with_the_loss_that_was_told(fitted: Fit, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    for name, data in fitted.files.items():
        (tmp_path / name).write_bytes(data)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert type(model).__name__ == "LlamaForCausalLM"
    tail = TEXT[int(len(TEXT) * 0.9) :]
    ids = torch.tensor([*tokenizer.encode(tail), tokenizer.eos_token_id])
    starts = range(0, len(ids) - 16, 16)
    rows = torch.stack([ids[start : start + 17] for start in starts])
    with torch.no_grad():
        logits = model(input_ids=rows[:, :-1]).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
    assert float(loss) == pytest.approx(fitted.told["held_out_loss"], abs=0.01)  # bf16 where the processor has it


def test_the_weights_of_the_best_round_are_kept() -> None:
    """A rate that is far too high for the first round and nothing at the end: the lowest point of the curve is what is told."""
    found = fit_scratch([TEXT], replace(TINY, rounds=8, steps=160, weight_decay=0.0)).told
    curve = [found[f"held_out_loss_{place}"] for place in range(1, 9)]
    assert found["held_out_loss"] == pytest.approx(min(curve), abs=1e-6)  # so little text that the sample is all of it


def test_dropout_changes_the_training_but_not_the_model_at_rest() -> None:
    found = fit_scratch([TEXT], replace(TINY, dropout=0.2, steps=20))
    model = load_model(found.files, CAUSAL)
    ids = torch.arange(16)[None] % 20
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)
    assert found.files[WEIGHTS] != fit_scratch([TEXT], replace(TINY, steps=20)).files[WEIGHTS]


@pytest.mark.slow  # the compiler takes half a minute
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_a_compiled_training_has_the_same_losses() -> None:
    one, other = (fit_scratch([TEXT], replace(TINY, steps=12, compiled=compiled)) for compiled in (False, True))
    if not other.told["compiled"]:
        pytest.skip("there is no C++ compiler here")
    assert other.trained.losses == pytest.approx(one.trained.losses, abs=0.05)  # in bf16, in another order
    assert set(other.files) == set(one.files)


def test_too_little_text_is_told() -> None:
    with pytest.raises(CannotFit, match="the held-out part has"):
        fit_scratch(["short text"] * 3, TINY)
    with pytest.raises(CannotFit, match="needs text"):
        fit_scratch([], TINY)


PROGRAM = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.scratch import fit_scratch
from tests.fit.test_scratch import TEXT, TINY
if len(sys.argv) > 3:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
checkpoints = Checkpoints(Path(sys.argv[1]), key="this", every_s=0.0, clock=time.monotonic)
found = fit_scratch([TEXT], TINY, checkpoints=checkpoints)
print(found.trained.resumed)
Path(sys.argv[2]).write_bytes(found.files["model.safetensors"])
"""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", PROGRAM, *map(str, arguments)]


ROOT = Path(__file__).resolve().parents[2]


def test_a_process_killed_in_the_middle_ends_in_equal_bytes_when_run_again(tmp_path: Path) -> None:
    subprocess.run(command(tmp_path / "whole", tmp_path / "whole.bytes"), check=True, cwd=ROOT, capture_output=True)
    folder = tmp_path / "cut"
    process = subprocess.Popen(command(folder, tmp_path / "cut.bytes"), cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not any(int(path.name[:10]) >= 20 for path in folder.glob("*.checkpoint")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "cut.bytes").exists()
    done = subprocess.run(command(folder, tmp_path / "cut.bytes"), check=True, cwd=ROOT, capture_output=True, text=True)
    assert int(done.stdout) >= 20
    assert (tmp_path / "cut.bytes").read_bytes() == (tmp_path / "whole.bytes").read_bytes()


def test_a_disk_that_is_full_at_a_checkpoint_is_told_and_nothing_half_written_stays(tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path / "own", tmp_path / "bytes", 20_000), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "StoreError: cannot write" in done.stderr
    assert "run the same command again" in done.stderr
    assert list((tmp_path / "own").iterdir()) == []
