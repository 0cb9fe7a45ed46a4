"""Two answers to one prompt in one row: the prompt is read once, and neither answer sees the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rungwise.engines.fitted.chat import Chat, Message
from rungwise.fit.cross_entropy import sequence_log_probabilities
from rungwise.fit.decoder import body_of, head_of
from rungwise.fit.packing import PADDING, Document, Numbers, document_mask, pack
from rungwise.fit.preferences import Preference

if TYPE_CHECKING:
    from torch import Tensor

PROMPT, CHOSEN, REJECTED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """The tokens of a prompt (P,) and of its two answers (C,) and (R,), each with the mark that ends it."""

    prompt: Numbers
    chosen: Numbers
    rejected: Numbers

    def __len__(self) -> int:
        return len(self.prompt) + len(self.chosen) + len(self.rejected)

    @property
    def longest(self) -> int:
        """The tokens of the prompt and its longer answer: what a model has to see at one time."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


@dataclass(frozen=True)
class PairedRows:
    """Pairs laid out in rows (R, T), a prompt and then both answers.

    `positions` of either answer go on from its prompt; `branches` says whether a token is of the prompt, the chosen or the
    rejected answer. Target n, of answer `owners[n]` (pair p's chosen answer is p, its rejected one pairs + p), is
    predicted at the flat place `places[n]`.
    """

    ids: Numbers
    documents: Numbers
    positions: Numbers
    branches: Numbers
    places: Numbers
    targets: Numbers
    owners: Numbers
    pairs: int


def encoded(pair: Preference, chat: Chat) -> EncodedPair:
    """A pair as the tokens that the template of the model makes of it. Raises UsageError when the template refuses it."""
    before = [Message("system", pair.system)] if pair.system else []
    for turn in pair.turns:
        before += [Message("user", turn.question), Message("assistant", turn.answer)]
    asked = [*before, Message("user", pair.prompt)]
    prompt, chosen = _answered(chat, asked, pair.chosen)
    same, rejected = _answered(chat, asked, pair.rejected)
    # `Chat` cuts what stands before an answer into tokens without looking at the answer.
    assert np.array_equal(prompt, same)
    return EncodedPair(prompt, chosen, rejected)


def paired_rows(pairs: Sequence[EncodedPair], row_tokens: int) -> PairedRows:
    """The pairs in rows of at most `row_tokens` places, or of the longest pair; of several widths the one with least padding."""
    trees = [Document.of(np.concatenate([pair.prompt, pair.chosen, pair.rejected])) for pair in pairs]
    longest = max(map(len, trees))
    widths = sorted({longest * times for times in range(1, max(1, row_tokens // longest) + 1)} | {max(longest, row_tokens)})
    tries = [pack(trees, width) for width in widths]
    packed = min((one.rows(np.arange(len(one))) for one in tries), key=lambda one: one.ids.size)
    prompts, chosen = (
        np.array([len(part) for part in parts]) for parts in zip(*[(p.prompt, p.chosen) for p in pairs], strict=True)
    )
    held = packed.documents != PADDING
    owner = np.where(held, packed.documents, 0)
    begin, middle = prompts[owner], prompts[owner] + chosen[owner]
    branches = np.where(held, (packed.positions >= begin).astype(np.int64) + (packed.positions >= middle), PROMPT)
    positions = np.where(branches == REJECTED, packed.positions - chosen[owner], packed.positions)
    learned = np.flatnonzero(branches.ravel() != PROMPT)
    first = (packed.positions == begin) | (packed.positions == middle)
    # The first token of either answer is predicted where the prompt ends, each other one at the token before it.
    back = np.where(first, packed.positions - begin + 1, 1).ravel()[learned]
    return PairedRows(
        ids=packed.ids,
        documents=packed.documents,
        positions=positions,
        branches=branches,
        places=learned - back,
        targets=packed.ids.ravel()[learned],
        owners=(owner + (branches == REJECTED) * len(pairs)).ravel()[learned],
        pairs=len(pairs),
    )


def branch_mask(documents: Tensor, branches: Tensor) -> Tensor:
    """Who sees whom, (B, 1, T, T) bool: within a pair what stands before, but of the two answers each only itself."""
    seen, seeing = branches[:, None, None, :], branches[:, None, :, None]
    return document_mask(documents) & ((seen == PROMPT) | (seen == seeing))


@dataclass(frozen=True)
class Answers:
    """What a loss needs of the answers: last states (N, D), the head (V, D), the targets (N,) and their answers (N,)."""

    hidden: Tensor
    head: Tensor
    targets: Tensor
    owners: Tensor


def answers_of(model: Any, rows: PairedRows) -> Answers:
    """Run the body of a causal language model over paired rows, on the device that it stands on."""
    import torch

    device = next(model.parameters()).device
    ids, documents, positions, branches, places, targets, owners = (
        torch.from_numpy(part).to(device)
        for part in (rows.ids, rows.documents, rows.positions, rows.branches, rows.places, rows.targets, rows.owners)
    )
    mask = branch_mask(documents, branches)
    hidden = body_of(model)(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False).last_hidden_state
    return Answers(hidden.flatten(0, 1)[places], head_of(model), targets, owners)


def answer_log_probabilities(model: Any, rows: PairedRows) -> Tensor:
    """(2, P) in fp32: the log-probability in nats of every pair's chosen and rejected answer, given its prompt."""
    found = answers_of(model, rows)
    sums = sequence_log_probabilities(found.hidden, found.head, found.targets, found.owners, 2 * rows.pairs)
    return sums.view(2, rows.pairs)


def _answered(chat: Chat, asked: Sequence[Message], answer: str) -> tuple[Numbers, Numbers]:
    """(the tokens before the answer, the answer's own): those that the last of the assistant's words are."""
    rendered = chat.rendered([*asked, Message("assistant", answer)])
    said = np.flatnonzero(rendered.answered)
    begin = int(said[np.flatnonzero(np.diff(said, prepend=-2) > 1)[-1]])
    return rendered.ids[:begin], rendered.ids[begin : int(said[-1]) + 1]
