"""What evidently's default statistic for each column says of windows of days; runs in evidently's own environment.

    PEER/bin/python benchmarks/evidently_scores.py FOLDER

FOLDER holds worlds as NAME.FIRST.json: the days of a world, each a list of rows (dictionaries) with the columns below. The first 28
days are the reference; each later day from FIRST on is looked at by windows of the last 1 and 7 days. Writes NAME.scores.json: by
day, the score and the default threshold of each window and column. Needs evidently 0.7.23 and pandas < 3, and nothing of Rungwise.
"""

from __future__ import annotations

import json
import sys
import warnings
from multiprocessing import Pool
from pathlib import Path

REFERENCE, WINDOWS = 28, (1, 7)
NUMBERS = ("length", "words", "confidence", "seconds", "tokens")
NAMES = ("answer", "failed", "group")
TEXT = "text"


def scored(job: str) -> None:
    """Score one world."""
    warnings.filterwarnings("ignore")
    import pandas as pd
    from evidently.legacy.calculations.stattests import get_stattest
    from evidently.legacy.core import ColumnType

    path = Path(job)
    name, first = path.stem.rpartition(".")[0], int(path.stem.rpartition(".")[2])
    days = json.loads(path.read_text(encoding="utf-8"))
    reference = pd.DataFrame([row for day in days[:REFERENCE] for row in day])
    kinds = {**dict.fromkeys(NUMBERS, ColumnType.Numerical), **dict.fromkeys(NAMES, ColumnType.Categorical), TEXT: ColumnType.Text}
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for day in range(first, len(days)):
        found[str(day)] = {}
        for window in WINDOWS:
            current = pd.DataFrame([row for one in days[day - window + 1 : day + 1] for row in one])
            for column, kind in kinds.items():
                before, now = reference[column].dropna(), current[column].dropna() if len(current) else pd.Series(dtype=float)
                if len(now) < 2:
                    continue
                test = get_stattest(before, now, kind, None)
                result = test(before, now, kind, None)
                found[str(day)][f"{column}/{window}"] = float(result.drift_score), float(result.actual_threshold)
    path.with_name(f"{name}.scores.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    worlds = sorted(str(one) for one in folder.glob("*.json") if not one.name.endswith(".scores.json"))
    with Pool(2) as pool:
        pool.map(scored, worlds, chunksize=1)
