"""What a reviewer is shown of an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rungwise.data.said import said, text_of

if TYPE_CHECKING:
    from rungwise.data.desk import Task
    from rungwise.project.reviews import Sitting
    from rungwise.watch.review.choices import Choices

CHOICES = "123456789"
_LONGEST = 4_000
_BEFORE = 6
_LINE = "─" * 60
HELP = """\
  Enter, space, y  it is right (of two: both are)      n  it is wrong (of two: both are)
  1 to 9           the label that would be right; of two answers 1 or 2, the right one
  /                type part of a label                c  type what would have been right
  s                skip                                f  somebody else shall decide
  u                take the last verdict back          q  end
"""


def card(task: Task, sitting: Sitting, *, number: int, total: int, left_s: float) -> str:
    """The screen for one item: how far it is, what was asked and answered, and which keys there are."""
    from rungwise.web.words import seconds

    own = said(task.trace)
    why = f" · {', '.join(task.item.reasons)}" if task.other is None and task.item.reasons else ""
    lines = [_LINE, f"{number:,} of {total:,}, about {seconds(left_s)} left{why}"]
    lines += [f"  {one}" for one in _before(own.messages)]
    lines += ["", f"question  {_shown(own.question)}"]
    if task.other is None:
        lines += [f"answer    {_shown(own.answer) or '(none)'}{_beside(task, sitting)}"]
    else:
        pair = [own.answer, said(task.other).answer]
        first, second = reversed(pair) if task.item.swapped else pair
        lines += [f"1         {_shown(first)}", f"2         {_shown(second)}"]
    if task.differ:
        lines += [f"others said: {'; '.join(_shown(one.wanted or one.kind) for one in task.differ)}"]
    return "\n".join([*lines, "", _keys(task, sitting.choices), ""])


def options(task: Task, choices: Choices) -> Sequence[str]:
    """The labels that have a key: what others said where they differed, then those that the question's words speak for."""
    if not task.item.labels or task.other is not None:
        return ()
    own = said(task.trace)
    before = [one.wanted for one in task.differ if one.wanted and one.wanted != own.answer]
    nearest = choices.nearest(own.question, len(CHOICES), besides=own.answer)
    return list(dict.fromkeys((*before, *nearest)))[: len(CHOICES)]


def _keys(task: Task, choices: Choices) -> str:
    if task.other is not None:
        return "[Enter] both right  [1] [2] only that one  [n] neither  [s]kip [f]lag [u]ndo [q]uit [?]"
    labels = "  ".join(f"[{key}] {_shown(one)}" for key, one in zip(CHOICES, options(task, choices), strict=False))
    more = "[/] other label  " if task.item.labels else ""
    return f"{labels}\n[Enter] right  [n] wrong  {more}[c]orrect [s]kip [f]lag [u]ndo [q]uit [?]".lstrip("\n")


def _beside(task: Task, sitting: Sitting) -> str:
    """The candidate's own confidence and the group of whoever asked, where they are known."""
    from rungwise.watch.traffic import traffic_of

    known = traffic_of([task.trace], group_tag=sitting.group_tag)
    if not len(known):
        return ""
    told = [] if math.isnan(known.confidence[0]) else [f"{known.confidence[0]:.0%} sure"]
    told += [_shown(str(known.group[0]))] if known.group[0] is not None else []
    return f"   ({', '.join(told)})" if told else ""


def _before(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """The end of the conversation before the question."""
    last = max((n for n, one in enumerate(messages) if one.get("role") == "user"), default=0)
    earlier = [f"{one.get('role')}: {text_of(one.get('content'))}" for one in messages[:last] if one.get("role") != "system"]
    return [_shown(one, 200) for one in earlier[-_BEFORE:]]


def _shown(text: str, longest: int = _LONGEST) -> str:
    """Text that cannot move the cursor or change what is on the screen."""
    from rungwise.web.words import one_line, shortened

    return shortened(one_line(text), longest)
