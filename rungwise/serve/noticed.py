"""What watching found, for Prometheus: the readings of the last day that was looked at, and the alerts that stand."""

from __future__ import annotations

from collections.abc import Iterator

from rungwise.core.reading import ALARM, DAY_S, Reading
from rungwise.data.alerts import Alerts
from rungwise.data.readings import Readings
from rungwise.data.store import Store
from rungwise.serve.metrics import Series

MOST_READINGS = 1_000
"""So many readings of a project are shown; a series is memory in Prometheus for as long as it keeps any of it."""
_NOT_SHOWN = frozenset({"user", "tenant", "key"})


class Noticed:
    """The findings of one project. The readings of a day never change, so they are read once."""

    def __init__(self, store: Store, deployment: str) -> None:
        self._store, self._deployment = store, deployment
        self._day: int | None = None
        self._read: tuple[tuple[Series, list[float]], ...] = ()

    def series(self) -> list[tuple[Series, list[float]]]:
        """Each series with its value. Blocks while the store is read."""
        found: list[tuple[Series, list[float]]] = [
            (("rungwise_alerts_open", (self._deployment, *labels)), [float(n)]) for labels, n in Alerts(self._store).count().items()
        ]
        day = Readings(self._store).last_day()
        if day is None:
            return found
        if day != self._day:
            self._read = tuple(self._of(Readings(self._store).of_day(day)))
            self._day = day
        until: tuple[Series, list[float]] = (("rungwise_looked_until_seconds", (self._deployment,)), [float((day + 1) * DAY_S)])
        return [*found, until, *self._read]

    def _of(self, readings: list[Reading]) -> Iterator[tuple[Series, list[float]]]:
        shown = [one for one in readings if _NOT_SHOWN.isdisjoint(one.about)]
        for one in sorted(shown, key=lambda one: one.state != ALARM)[:MOST_READINGS]:
            about = ",".join(f"{name}={value}" for name, value in sorted(one.about.items()))
            labels = (self._deployment, one.monitor, str(one.days), about)
            yield ("rungwise_reading_alarm", labels), [float(one.state == ALARM)]
            if one.value is not None:
                yield ("rungwise_reading_value", labels), [one.value]
