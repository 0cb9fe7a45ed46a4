"""A real PostgreSQL server for tests: made by initdb, reached through a socket in its own folder, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

USERS = ("postgres", "nobody")
"""Who runs the server when the tests run as root, whom it refuses."""

SETTINGS = {
    "listen_addresses": "''",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "log_min_messages": "fatal",
}


@dataclass
class Cluster:
    """A server of one's own. `url` leads to a database in it."""

    folder: Path
    programs: Path
    run_as: int | None

    @property
    def url(self) -> str:
        return f"postgresql://rungwise@/postgres?host={self.folder}"

    def run(self, program: str, *arguments: object) -> None:
        """Run one of its programs. Raises CalledProcessError with what it said."""
        command = [str(self.programs / program), *map(str, arguments)]
        done = subprocess.run(
            command, user=self.run_as, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=120
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout.decode(errors="replace"))

    def start(self) -> None:
        """Start it, and wait until it answers."""
        told = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
        self.run("pg_ctl", "start", "-w", "-D", self.folder / "data", "-l", self.folder / "log", "-o", f"-k {self.folder} {told}")

    def stop(self, how: str = "fast") -> None:
        """Stop it: 'fast', or 'immediate', which is a crash."""
        self.run("pg_ctl", "stop", "-w", "-D", self.folder / "data", "-m", how)


def programs() -> Path | None:
    """Where initdb, pg_ctl and postgres are: on the path, or where Debian puts them, the newest version first."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    found = shutil.which("initdb")
    for folder in [*([Path(found).resolve().parent] if found else []), *debian]:
        if all((folder / name).exists() for name in ("initdb", "pg_ctl", "postgres")):
            return folder
    return None


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A server that runs. Skips the test where PostgreSQL is not installed."""
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed here. On Debian: apt-get install postgresql")
    run_as = _unprivileged()
    with tempfile.TemporaryDirectory(prefix="rungwise-pg-", dir="/tmp") as home:
        if run_as is not None:
            os.chown(home, run_as, -1)
        made = Cluster(Path(home), folder, run_as)
        made.run("initdb", "-D", made.folder / "data", "-U", "rungwise", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
        made.start()
        try:
            yield made
        finally:
            made.stop("immediate")


def _unprivileged() -> int | None:
    """The server refuses root."""
    if os.geteuid() != 0:
        return None
    known = {one.pw_name: one.pw_uid for one in pwd.getpwall()}
    return next((known[name] for name in USERS if name in known), 65534)
