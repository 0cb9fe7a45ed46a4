"""A reviewer at the keyboard: an answer is shown, a key judges it, the next one comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rungwise.cli.keyboard import END, ENTER, Keyboard, Piped, typed
from rungwise.cli.review_card import CHOICES, HELP, card, options
from rungwise.core.errors import UsageError
from rungwise.data.desk import NotWaiting, Task
from rungwise.data.reviews import BOTH, CORRECTION, FLAG, LABEL, OTHER, RIGHT, SKIP, WRONG, Verdict

if TYPE_CHECKING:
    from rungwise.project.reviews import Sitting

_YES = ("y", "Y", " ")
_PLAIN = {"n": WRONG, "s": SKIP, "f": FLAG}


class Session:
    """One sitting: until the queue or the limit ends, or the reviewer does."""

    def __init__(self, sitting: Sitting, keys: Keyboard, *, reason: str | None, limit: int | None) -> None:
        self.sitting, self.desk, self.keys, self.reason, self.limit = sitting, sitting.desk, keys, reason, limit
        self._said: list[Verdict] = []

    @property
    def judged(self) -> int:
        """How many answers were judged in this sitting, those taken back or skipped left out."""
        return sum(one.kind != SKIP for one in self._said)

    def run(self) -> None:
        """Ask until the end."""
        again: str | None = None
        while True:
            task = None if len(self._said) == self.limit else self.desk.next(reason=self.reason, first=again)
            again = None
            if task is not None:
                self._show(task)
                key = self._asked(task)
            else:
                self._write("nothing else waits for you. u takes the last verdict back, q ends\n")
                key = self._ended()
            if key != "u":
                if task is None or key == "q":
                    return
                continue
            again = self._undone()

    def _asked(self, task: Task) -> str:
        """Take keys until one judges the task, ends the sitting or takes the last verdict back; 'u' and 'q' are given back."""
        began = self._now()
        while True:
            key = self.keys.key()
            if key in (END, "q", "u"):
                return key or "q"
            if key == ENTER and isinstance(self.keys, Piped):
                continue  # a pipe ends with a line break
            if key == "?":
                self._write(HELP)
                continue
            verdict = self._meant(key, task)
            if verdict is None:
                continue
            try:
                self.desk.judge(task.item.id, verdict, seconds=self._now() - began)
            except NotWaiting as error:
                self._write(f"{error}\n")
                return ""
            except UsageError as error:
                self._write(f"{error}\n")
                continue
            self._said.append(verdict)
            self._write(f"  {_word(verdict)}\n")
            return ""

    def _meant(self, key: str, task: Task) -> Verdict | None:
        """What a key says of a task; None for one that says nothing."""
        pair = task.other is not None
        if key in _YES or key == ENTER:
            return Verdict(kind=BOTH if pair else RIGHT)
        if key in _PLAIN:
            return Verdict(kind=_PLAIN[key])
        if pair and key in ("1", "2"):
            return Verdict(kind=OTHER if (key == "1") == task.item.swapped else RIGHT)
        if key in CHOICES:
            named = dict(zip(CHOICES, options(task, self.sitting.choices), strict=False)).get(key)
            return None if named is None else Verdict(kind=LABEL, wanted=named)
        if key == "/" and task.item.labels:
            return self._chosen()
        if key == "c":
            self._write("what would have been right? Enter keeps it, Esc goes back\n> ")
            text = typed(self.keys, self._write)
            kind = LABEL if task.item.labels else CORRECTION
            return Verdict(kind=kind, wanted=text.strip()) if text is not None and text.strip() else None
        return None

    def _chosen(self) -> Verdict | None:
        choices = self.sitting.choices
        self._write("part of the label: Tab completes, Enter takes the first, Esc goes back\n> ")
        text = typed(self.keys, self._write, choices.matching)
        if text is None or not text.strip():
            return None
        found = choices.matching(text)
        if not found:
            self._write(f"no label holds '{text}'. Type c to name a new one\n")
            return None
        return Verdict(kind=LABEL, wanted=found[0])

    def _undone(self) -> str | None:
        """Take the last verdict back; the item it was of."""
        try:
            item = self.desk.undo()
        except NotWaiting as error:
            self._write(f"{error}\n")
            return None
        if item is None:
            self._write("there is nothing to take back\n")
            return None
        self._said = self._said[:-1]
        self._write("taken back\n")
        return item.id

    def _ended(self) -> str:
        """The key after the last answer: 'u' or the end."""
        while (key := self.keys.key()) == ENTER and isinstance(self.keys, Piped):
            pass
        return "u" if key == "u" else "q"

    def _show(self, task: Task) -> None:
        left = self.desk.waiting(reason=self.reason)
        done = len(self._said)
        total = done + left if self.limit is None else min(self.limit, done + left)
        seconds = (total - done) * self.sitting.seconds_per_item
        self._write(card(task, self.sitting, number=done + 1, total=total, left_s=seconds))

    def _write(self, text: str) -> None:
        click.echo(text, nl=False)

    def _now(self) -> float:
        return self.desk.store.clock.now()


def _word(verdict: Verdict) -> str:
    if verdict.kind in (LABEL, CORRECTION):
        return f"{verdict.kind}: {verdict.wanted}"
    return {OTHER: "one is right", RIGHT: "right", BOTH: "right", SKIP: "skipped", FLAG: "somebody else decides"}.get(
        verdict.kind, "wrong"
    )
