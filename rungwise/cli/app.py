"""The command `rungwise`: finds the verb, runs it, and turns errors into words and exit codes."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence

import click

from rungwise import __version__
from rungwise.core.errors import RungwiseError

# In the order in which people need them; each is a module of this folder with a command of the same name.
VERBS = {
    "init": "Make a project: a folder with rungwise.yaml and its state.",
    "data": "Import, curate, version and export data.",
    "forecast": "Before spending: what this data can show, and what each rung will cost.",
    "climb": "Find the cheapest technique that is shown to meet the target.",
    "ask": "Ask the chosen candidate, one question or a whole file.",
    "label-next": "The rows whose labels would teach the most, and what they are expected to bring.",
    "report": "Write the decision as one HTML file.",
    "compare": "Test two candidates against each other on the dev rows.",
    "replay": "Recompute a decision from the stored scores; it must agree.",
    "lineage": "Walk from a candidate to its training rows, or from a row to what it reached.",
    "doctor": "What works here, what is missing, and what to type.",
}


STOPPED = 130  # by Ctrl-C, as shells count it


class Verbs(click.Group):
    """The verbs, each imported only when it is used, so that --help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order in which people need them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one verb; an unknown one is None, and click says so."""
        if name not in VERBS:
            return None
        module = name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"rungwise.cli.{module}"), module)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown verb names the nearest one."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from rungwise.core.errors import UnknownName

            raise UnknownName("verb", args[0], VERBS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing any of them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="rungwise")
def rungwise() -> None:
    """Climb no higher than you need: prove which technique is the cheapest that meets your target.

    Start with: rungwise climb tickets.csv --target accuracy=0.90
    """


def run(arguments: list[str]) -> int:
    """Run one command line and give its exit code."""
    as_json = "--json" in arguments
    try:
        code = rungwise.main(args=arguments, prog_name="rungwise", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), file=sys.stderr)
        return 2
    except click.UsageError as error:
        return _fail(_with_hint(error), "UsageError", 2, as_json=as_json)
    except RungwiseError as error:
        return _fail(str(error), type(error).__name__, error.exit_code, as_json=as_json)
    except (KeyboardInterrupt, click.Abort):
        return _fail("stopped. What was measured is kept: the same command goes on from here", "Stopped", STOPPED, as_json=as_json)
    except BrokenPipeError:
        return 3
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        return _fail(
            f"cannot use{place}: {error.strerror or error}. Check the path, the disk and the permissions",
            "OSError",
            3,
            as_json=as_json,
        )
    except Exception as error:  # noqa: BLE001 - boundary: nobody should have to read a traceback; whoever mends it can ask for it
        return _fail(_unexpected(error), type(error).__name__, 3, as_json=as_json)
    return int(code or 0)


def _unexpected(error: Exception) -> str:
    """An error that nobody foresaw, with the place where it arose."""
    import os
    import traceback

    if os.environ.get("RUNGWISE_TRACEBACK"):
        traceback.print_exception(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"this should not have happened: {type(error).__name__}: {error} ({last.filename}:{last.lineno}). It is a fault of "
        "Rungwise; what was measured is kept. Please report it with what the same command says after: export RUNGWISE_TRACEBACK=1"
    )


def _with_hint(error: click.UsageError) -> str:
    where = f" Type: {error.ctx.command_path} --help" if error.ctx else ""
    return f"{error.format_message()}{where}"


def _fail(message: str, kind: str, code: int, *, as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps({"error": {"type": kind, "message": message, "exit_code": code}}))
    click.echo(f"rungwise: {message}", file=sys.stderr)
    return code


def known_verbs() -> Sequence[str]:
    """The verbs, for the test that holds the docs against them."""
    return tuple(VERBS)
