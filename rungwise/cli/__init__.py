"""One verb per file, each a thin face of a `Project` method.

Exit codes: 0 done, 1 the answer is not yes, 2 bad usage or input, 3 failed at run time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every error that Rungwise raises on purpose becomes one line and its exit code."""
    from rungwise.cli.app import STOPPED, run

    code = run(list(sys.argv[1:] if arguments is None else arguments))
    if code == STOPPED:
        # Whoever pressed Ctrl-C should not wait for a fit that runs in a thread. The state is made for processes that end anywhere.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
