"""A question as a fitted language model is asked it: what it learned from and what it is asked later are put alike."""

from __future__ import annotations

from collections.abc import Sequence

from rungwise.core.content import Passage
from rungwise.engines.fitted.chat import ASSISTANT, Message


def question(text: str, passages: Sequence[Passage] = ()) -> str:
    """The passages that come with a question, then the question, with an empty line between."""
    return "\n\n".join([*(one.text for one in passages), text])


def conversation(text: str, passages: Sequence[Passage] = (), *, answer: str | None = None) -> list[Message]:
    """One turn of the user, and the answer where it is known."""
    asked = [Message("user", question(text, passages))]
    return asked if answer is None else [*asked, Message(ASSISTANT, answer)]
