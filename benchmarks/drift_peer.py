"""The peer of `benchmarks/drift_report.py`, run by the peer's own Python: it loads the tables and times its report alone.

It reads lines 'run' from stdin and answers each with the seconds of one report.
"""

from __future__ import annotations

import sys
import time


def main() -> None:
    """Load the two tables, then one report a line."""
    import pandas
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    frames = [pandas.read_parquet(path) for path in sys.argv[1:3]]
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        definition = DataDefinition(
            numerical_columns=[name for name in frames[0] if name.startswith("number")],
            categorical_columns=[name for name in frames[0] if name.startswith("name")],
        )
        reference, current = (Dataset.from_pandas(frame, data_definition=definition) for frame in frames)
        result = Report([DataDriftPreset()]).run(current, reference)
        result.dict()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
