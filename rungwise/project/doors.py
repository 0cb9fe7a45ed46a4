"""The doors of a project folder: one for each part of its life, opened when it is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rungwise.core.types import Clock

if TYPE_CHECKING:
    from rungwise.project.alerts import ProjectAlerts
    from rungwise.project.data import ProjectData
    from rungwise.project.drift import ProjectDrift
    from rungwise.project.feedback import ProjectFeedback
    from rungwise.project.fitting import ProjectFitting
    from rungwise.project.keys import ProjectKeys
    from rungwise.project.money import ProjectMoney
    from rungwise.project.reclimbs import ProjectReclimbs
    from rungwise.project.releases import ProjectReleases
    from rungwise.project.reviews import ProjectReviews
    from rungwise.project.tags import ProjectTags
    from rungwise.project.texts import ProjectTexts
    from rungwise.project.traces import ProjectTraces
    from rungwise.project.voices import ProjectVoices
    from rungwise.project.watching import ProjectWatching

STATE = "state"


class Doors:
    """What `Project` offers beside its own verbs."""

    def __init__(self, directory: Path, clock: Clock | None) -> None:
        self.directory = directory
        self._clock = clock

    @property
    def clock(self) -> Clock:
        """The clock of this project; the system's unless one was given."""
        if self._clock is None:
            from rungwise.engines.clock import SystemClock

            self._clock = SystemClock()
        return self._clock

    @property
    def data(self) -> ProjectData:
        """The versions of this folder's data, and the verbs of `rungwise data`."""
        from rungwise.project.data import ProjectData

        return ProjectData(self.directory, self.clock, self.directory / STATE)

    @property
    def fitting(self) -> ProjectFitting:
        """One technique, trained and written as a folder."""
        from rungwise.project.fitting import ProjectFitting

        return ProjectFitting(self.directory, self.clock, self.directory / STATE)

    @property
    def texts(self) -> ProjectTexts:
        """What is trained on text alone: tokenizers and language models."""
        from rungwise.project.texts import ProjectTexts

        return ProjectTexts(self.directory, self.clock, self.directory / STATE)

    @property
    def tags(self) -> ProjectTags:
        """A tagger of spans."""
        from rungwise.project.tags import ProjectTags

        return ProjectTags(self.directory, self.clock, self.directory / STATE)

    @property
    def releases(self) -> ProjectReleases:
        """What answers users, its gates and its history."""
        from rungwise.project.releases import ProjectReleases

        return ProjectReleases(self.directory, self.clock, self.directory / STATE)

    @property
    def keys(self) -> ProjectKeys:
        """The API keys of this project."""
        from rungwise.project.keys import ProjectKeys

        return ProjectKeys(self.directory, self.clock, self.directory / STATE)

    @property
    def traces(self) -> ProjectTraces:
        """What was asked and answered."""
        from rungwise.project.traces import ProjectTraces

        return ProjectTraces(self.directory, self.clock, self.directory / STATE)

    @property
    def feedback(self) -> ProjectFeedback:
        """Judgements on what was answered."""
        from rungwise.project.feedback import ProjectFeedback

        return ProjectFeedback(self.directory, self.clock, self.directory / STATE)

    @property
    def alerts(self) -> ProjectAlerts:
        """What was noticed and whether somebody took it up."""
        from rungwise.project.alerts import ProjectAlerts

        return ProjectAlerts(self.directory, self.clock, self.directory / STATE)

    @property
    def money(self) -> ProjectMoney:
        """What answering costs and brings."""
        from rungwise.project.money import ProjectMoney

        return ProjectMoney(self.directory, self.clock, self.directory / STATE)

    @property
    def reviews(self) -> ProjectReviews:
        """The answers that people shall look at, and what they said."""
        from rungwise.project.reviews import ProjectReviews

        return ProjectReviews(self.directory, self.clock, self.directory / STATE)

    @property
    def reclimbs(self) -> ProjectReclimbs:
        """Climbing again on what production brought."""
        from rungwise.project.reclimbs import ProjectReclimbs

        return ProjectReclimbs(self.directory, self.clock, self.directory / STATE)

    @property
    def watching(self) -> ProjectWatching:
        """What monitors say of production, day by day."""
        from rungwise.project.watching import ProjectWatching

        return ProjectWatching(self.directory, self.clock, self.directory / STATE)

    @property
    def drift(self) -> ProjectDrift:
        """One window of the traffic against another."""
        from rungwise.project.drift import ProjectDrift

        return ProjectDrift(self.directory, self.clock, self.directory / STATE)

    @property
    def voices(self) -> ProjectVoices:
        """What users say of the answers."""
        from rungwise.project.voices import ProjectVoices

        return ProjectVoices(self.directory, self.clock, self.directory / STATE)
