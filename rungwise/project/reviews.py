"""`ProjectReviews`: the answers that people shall look at, what they said, and how far they agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.record import to_plain
from rungwise.core.types import Clock
from rungwise.core.usecase import UseCase
from rungwise.core.watching import Watching
from rungwise.data.spec import FILE, read_use_case, read_watching
from rungwise.project.opening import opened

if TYPE_CHECKING:
    from rungwise.data.desk import Desk
    from rungwise.data.reviews import Waiting
    from rungwise.evaluate.reviewers import Agreed
    from rungwise.watch.review.choices import Choices


@dataclass(frozen=True, kw_only=True)
class Sitting:
    """A reviewer at work: their desk, the labels they can choose from, and how long an answer took so far (seconds)."""

    desk: Desk
    case: UseCase
    watching: Watching
    choices: Choices
    seconds_per_item: float

    @property
    def group_tag(self) -> str | None:
        """The tag of a request that names its group."""
        return self.watching.group_tag or (self.case.groups.field if self.case.groups is not None else None)


class ProjectReviews:
    """The review queue of a project folder."""

    def __init__(self, directory: Path, clock: Clock, state: Path) -> None:
        self.directory, self.clock, self.state = directory, clock, state

    def waiting(self) -> Waiting:
        """What has no last word yet."""
        from rungwise.data.reviews import Reviews

        with opened(self.directory, self.state, self.clock) as store:
            return Reviews(store).waiting()

    def agreement(self) -> Agreed:
        """How far reviewers agree with one another, and what each of them says how often."""
        from rungwise.data.reviews import Reviews
        from rungwise.evaluate.reviewers import agreed

        with opened(self.directory, self.state, self.clock) as store:
            return agreed(Reviews(store).given(), labels=read_use_case(self.directory / FILE).task != "answer")

    def plain(self) -> Mapping[str, Any]:
        """What waits and how far reviewers agree, as JSON data."""
        return {
            "waiting": {**to_plain(self.waiting()), "reasons": dict(self.waiting().reasons)},
            "agreement": to_plain(self.agreement()),
        }

    @contextmanager
    def sitting(self, reviewer: str) -> Iterator[Sitting]:
        """A reviewer's desk for a block. What they decided is feedback when the block ends; not where it ends by an error."""
        from rungwise.data.desk import Desk, close
        from rungwise.data.reviews import Reviews
        from rungwise.evaluate.reviewers import usual_seconds
        from rungwise.watch.review.choices import Choices

        case, watching = read_use_case(self.directory / FILE), read_watching(self.directory / FILE)
        with opened(self.directory, self.state, self.clock) as store:
            given = Reviews(store).given()
            yield Sitting(
                desk=Desk(store, reviewer),
                case=case,
                watching=watching,
                choices=Choices(self._labelled(case)) if case.task != "answer" else Choices(),
                seconds_per_item=usual_seconds(given, otherwise=watching.review.seconds_per_item),
            )
            close(store, by=reviewer)

    def close(self) -> int:
        """Make feedback of decisions that cannot be taken back any more; how many they were."""
        from rungwise.data.desk import close

        with opened(self.directory, self.state, self.clock) as store:
            return close(store)

    def _labelled(self, case: UseCase) -> Iterator[tuple[str, str]]:
        """The questions of the data with their labels."""
        from rungwise.data.importing import read_dataset
        from rungwise.data.spec import beside
        from rungwise.project.data import ProjectData

        data = ProjectData(self.directory, self.clock, self.state)
        if data.exists():
            columns = data.version().columns
            for _, cells in data.rows():
                yield str(cells.get(columns.text or "text") or ""), str(cells.get(columns.label or "label") or "")
            return
        file = beside(self.directory, case.data)
        if case.data and file.is_file():
            for row in read_dataset(file, case).dataset.rows:
                yield row.text, row.label
