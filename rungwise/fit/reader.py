"""A reader fitted on solved questions: a BERT that marks the first and the last word of the answer, or that there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rungwise.core.content import Passage
from rungwise.core.dataset import Example
from rungwise.core.errors import CannotFit, Corrupt, MissingExtra
from rungwise.core.record import canonical_json
from rungwise.engines.arrays import Files
from rungwise.engines.bert import CONFIG, TOKENIZER, WEIGHTS, read_config
from rungwise.engines.pair_encoder import PairTokenizer, padded
from rungwise.engines.reader import (
    FAR,
    MOST_WINDOW_TOKENS,
    READER,
    WINDOW_TOKENS,
    Doubt,
    Reader,
    Window,
    reader_settings,
    reading_tokenizer,
    windows_of,
)
from rungwise.engines.sentence_scorer import Sentence
from rungwise.fit.cloze import clozes
from rungwise.fit.doubt import fit_doubt
from rungwise.fit.finetune import Step, Training, batches_by_length, finetune, layer_rates, seeded

if TYPE_CHECKING:
    from torch import Tensor

Spans = tuple[tuple[int, int], ...]
"""First and last token of every place where the answer stands, in the window's tokens; ((0, 0),), the [CLS], for none."""

LEAST_ROWS = 20
NO_ANSWER: Spans = ((0, 0),)


@dataclass(frozen=True, kw_only=True)
class ReaderSettings:
    """How a reader is fitted.

    `frozen` lowest layers stay as they are, and the new head learns `head` times as fast as the layers. Of the passages,
    `window_tokens` are read. About `held_out` of the rows, by whole
    passages, is kept from the training: these calibrate. At most
    `clozes` questions made of the passages themselves are learned first, in one round: with 166 solved questions of the
    shipped example they take the F1 from 0.41 to 0.51 (96 questions about other articles).
    """

    lr: float = 3e-4
    epochs: int = 3
    seed: int = 0
    frozen: int = 2
    head: float = 5.0
    window_tokens: int = WINDOW_TOKENS
    batch_tokens: int = 1_200
    held_out: float = 0.15
    clozes: int = 800


@dataclass(frozen=True, slots=True)
class Lesson:
    """A window, and where in its tokens the answer stands."""

    window: Window
    gold: Spans


def fit_reader(
    rows: Sequence[Example],
    base: Path,
    settings: ReaderSettings | None = None,
    *,
    documents: Sequence[str] = (),
    on_step: Callable[[Step], None] | None = None,
) -> Files:
    """Fit a question answering model that starts as the encoder in the folder `base`; the files are a `BertForQuestionAnswering`'s.

    A row is a question (`text`), its `passage`, and the answers (`references`) as they stand in the passage. Rows without
    references teach that there is no answer; rows without a passage, or whose answers do not stand in one sentence of it,
    are left out; reader.json counts all three. The loss is -log p(start) p(end), where [CLS] stands for no answer (Devlin
    et al. 2018, sections 4.2 and 4.3), summed over all places of the answer (Clark and Gardner 2018, eq. 2). `documents`
    are more texts to make clozes of. Equal arguments give equal bytes on one machine with one number of threads. Raises
    CannotFit with fewer than 20 usable rows or too large a window, MissingExtra without the libraries.
    """
    settings = settings or ReaderSettings()
    if settings.window_tokens > MOST_WINDOW_TOKENS:
        raise CannotFit(
            f"a reader's window has at most {MOST_WINDOW_TOKENS} tokens, not {settings.window_tokens}. Set window_tokens lower"
        )
    tokenizer_json = (base / TOKENIZER).read_bytes()
    tokenizer = reading_tokenizer(tokenizer_json)
    with_passage = [row for row in rows if row.passage]
    kept, held = hold_out(with_passage, settings.held_out, seed=settings.seed)
    lessons = lessons_of(kept, tokenizer, tokens=settings.window_tokens)
    if len(lessons) < LEAST_ROWS:
        raise CannotFit(
            f"a reader needs {LEAST_ROWS} questions whose answer is copied from their passage, and there are {len(lessons)}. "
            "Add solved questions with their passages"
        )
    model = question_answering(base, seed=settings.seed)
    texts = [*(row.passage or "" for row in kept), *documents]
    own = clozes(texts, limit=settings.clozes, seed=settings.seed) if settings.clozes else []
    if own:
        teach(model, lessons_of(own, tokenizer, tokens=settings.window_tokens), settings, epochs=1, on_step=on_step)
    losses = teach(model, lessons, settings, epochs=settings.epochs, on_step=on_step)
    files = reader_files(model, tokenizer_json, Doubt(), settings)
    answerable = np.array([lesson.gold != NO_ANSWER for lesson in lessons])
    doubt, checked = fit_doubt(Reader(files), held, (np.stack([lesson.window.signs for lesson in lessons]), answerable))
    recorded: dict[str, Any] = {
        "answered": int(answerable.sum()),
        "unanswerable": int((~answerable).sum()),
        "left_out": len(rows) - len(held) - len(lessons),
        "calibrated_on": checked,
        "clozes": len(own),
        "losses": losses,
    }
    return {**files, READER: _about(doubt, settings, recorded)}


def hold_out(rows: Sequence[Example], share: float, *, seed: int) -> tuple[list[Example], list[Example]]:
    """(kept, held out) rows, both in order: whole passages, drawn until about `share` of the rows are held.

    Not whole groups: where there are few, as the articles of squad2_part, one alone says too little about how many
    questions of the others have no answer (45 % to 72 %); confidence calibrated on one article was 0.15 off.
    """
    unit = [row.passage or row.text for row in rows]
    names = list(dict.fromkeys(unit))
    held: set[str] = set()
    wanted = share * len(rows)
    sizes = {name: unit.count(name) for name in names}
    for place in np.random.default_rng(seed).permutation(len(names)):
        name = names[place]
        if sum(sizes[one] for one in held) + sizes[name] / 2 <= wanted:
            held.add(name)
    return [row for row, own in zip(rows, unit, strict=True) if own not in held], [
        row for row, own in zip(rows, unit, strict=True) if own in held
    ]


def lessons_of(rows: Sequence[Example], tokenizer: PairTokenizer, *, tokens: int) -> list[Lesson]:
    """Rows as windows in which the answer stands. Those where it stands in no sentence are left out."""

    def holds(row: int, sentence: Sentence) -> bool:
        return any(reference.strip() and reference.strip() in sentence.passage.text for reference in rows[row].references)

    asked = [(row.text, (Passage(row.passage or ""),)) for row in rows]
    windows = windows_of(tokenizer, asked, tokens=tokens, first=holds)
    lessons = []
    for row, window in zip(rows, windows, strict=True):
        if window is not None:
            gold = gold_spans(window, row.references) if row.references else NO_ANSWER
            if gold:
                lessons.append(Lesson(window, gold))
    return lessons


def gold_spans(window: Window, references: Sequence[str]) -> Spans:
    """First and last token, in the window's tokens, of every place where a reference stands in one sentence."""
    found: dict[tuple[int, int], None] = {}
    for number, sentence in enumerate(window.sentences):
        own = np.flatnonzero(window.owner == number)
        spans, text = window.tokens.spans[own], sentence.passage.text
        for reference in dict.fromkeys(one.strip() for one in references if one.strip()):
            at = text.find(reference)
            while at >= 0:
                inside = own[(spans[:, 0] < at + len(reference)) & (spans[:, 1] > at)]
                if len(inside):
                    begin = window.tokens.start
                    found[begin + int(inside[0]), begin + int(inside[-1])] = None
                at = text.find(reference, at + 1)
    return tuple(found)


def question_answering(base: Path, *, seed: int) -> Any:
    """The BERT encoder of a folder under a new head with a start and an end. Raises Corrupt when it is another model.

    Without dropout inside the attention, where the fast kernel of the processor has none.
    """
    try:
        from transformers import BertConfig, BertForQuestionAnswering
    except ImportError as error:
        raise MissingExtra("fitting a reader", "local") from error
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        shape = BertConfig.from_dict({**read_config(base), "attention_probs_dropout_prob": 0.0})
        # The pooling layer stays behind: it has no part in marking words.
        weights = {
            name.removeprefix("bert."): tensor
            for name, tensor in load_file(base / WEIGHTS).items()
            if not name.removeprefix("bert.").startswith(("pooler.", "cls."))
        }
        with seeded(seed):
            model = BertForQuestionAnswering(shape)
        missing = model.bert.load_state_dict(weights, strict=False).missing_keys
        if missing:
            raise ValueError(f"it lacks {missing[0]}")
    except (RuntimeError, ValueError, SafetensorError) as error:
        raise Corrupt(f"the weights in {base} do not fit its config.json ({error}). Install the model again") from error
    return model


def teach(
    model: Any, lessons: Sequence[Lesson], settings: ReaderSettings, *, epochs: int, on_step: Callable[[Step], None] | None = None
) -> list[float]:
    """Train the model on the lessons, in place; the mean loss of every epoch, in nats."""
    sizes = [len(lesson.window.tokens.ids) for lesson in lessons]
    rates = layer_rates(model.config.num_hidden_layers, frozen=settings.frozen, head=settings.head)
    return finetune(
        model,
        lambda rng: batches_by_length(sizes, rng, tokens=settings.batch_tokens),
        lambda rows: reading_loss(model, [lessons[row] for row in rows]),
        Training(lr=settings.lr, epochs=epochs, seed=settings.seed, rate_of=rates),
        tokens_of=lambda rows: max(sizes[row] for row in rows) * len(rows),
        on_step=on_step,
    ).epochs


def reading_loss(model: Any, lessons: Sequence[Lesson]) -> Tensor:
    """Mean of -log (sum over gold spans of p(start) p(end)) / 2, in nats; p over the passage's tokens and [CLS]."""
    import torch

    batch = padded([lesson.window.tokens for lesson in lessons])
    read = model(
        input_ids=torch.from_numpy(batch.ids),
        attention_mask=torch.from_numpy(batch.mask),
        token_type_ids=torch.from_numpy(batch.kinds),
    )
    allowed = torch.from_numpy(batch.passage)
    allowed[:, 0] = True
    both = torch.stack([read.start_logits, read.end_logits], dim=1).float()  # (B, 2, T)
    logs = both.masked_fill(~allowed[:, None, :], FAR).log_softmax(dim=-1)
    row = torch.tensor([number for number, lesson in enumerate(lessons) for _ in lesson.gold])
    start, end = (torch.tensor([span[side] for lesson in lessons for span in lesson.gold]) for side in (0, 1))
    spans = logs[row, 0, start] + logs[row, 1, end]
    per_row = spans.split([len(lesson.gold) for lesson in lessons])
    return -torch.stack([own.logsumexp(dim=0) for own in per_row]).mean() / 2


def reader_files(model: Any, tokenizer_json: bytes, doubt: Doubt, settings: ReaderSettings) -> Files:
    """The model as `transformers` writes it, and our own settings beside."""
    from safetensors.torch import save

    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    config = {**model.config.to_dict(), "architectures": ["BertForQuestionAnswering"]}
    found = {CONFIG: canonical_json(config).encode(), WEIGHTS: save(weights, metadata={"format": "pt"})}
    return {**found, TOKENIZER: tokenizer_json, READER: _about(doubt, settings, {})}


def _about(doubt: Doubt, settings: ReaderSettings, recorded: dict[str, Any]) -> bytes:
    own = reader_settings(doubt, window_tokens=settings.window_tokens, settings=asdict(settings), **recorded)
    return canonical_json(own).encode()
