"""The command `rungwise`: finds the verb, runs it, and turns errors into words and exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from rungwise import __version__
from rungwise.cli.verbs import Verbs
from rungwise.core.errors import RungwiseError

# In the order in which people need them, each with the module of this folder that holds the command, which has the same name.
VERBS = {
    "init": ("init", "Make a project: a folder with rungwise.yaml and its state."),
    "data": ("data", "Import, curate, version and export data."),
    "forecast": ("forecast", "Before spending: what this data can show, and what each rung will cost."),
    "climb": ("climb", "Find the cheapest technique that is shown to meet the target."),
    "fit": ("fit", "Train one technique, measure it on dev, and write a folder that other tools load."),
    "show": ("show", "What a fitted model is: its card, after every byte was checked."),
    "index": ("index", "Make documents searchable, and keep the index in step with them."),
    "search": ("search", "Search an index: by words, by meaning, or by both."),
    "questions": ("questions", "Make a first set of questions from documents, for those who have none."),
    "ask": ("ask", "Ask the chosen candidate, one question or a whole file."),
    "label-next": ("label_next", "The rows whose labels would teach the most, and what they are expected to bring."),
    "release": ("release", "Let the chosen candidate answer users, if every gate lets it."),
    "rollback": ("rollback", "Make live what was live before."),
    "gate": ("gate", "Check the gates without releasing; for CI, with JUnit and SARIF."),
    "keys": ("keys", "Make, list, replace and revoke API keys."),
    "audit": ("audit", "Who did what: keys made and revoked, releases moved; and whether the log is whole."),
    "serve": ("serve", "Serve projects behind endpoints that OpenAI's and Amazon's SDKs speak."),
    "traces": ("traces", "Search what was asked and answered, and what it cost."),
    "feedback": ("feedback", "Judge answers, see the verdict between variants, and turn judgements into data."),
    "watch": ("watch", "Look at production: drift, quality, cost, fairness, day by day; and whether anything is wrong."),
    "review": ("review", "Judge answers one by one, with one key each; what people say becomes proof and data."),
    "value": ("value", "What answering costs and brings, per user, variant and candidate; and when it pays."),
    "alerts": ("alerts", "What was noticed; take it up, close it, and send it where people look."),
    "reclimb": ("reclimb", "Climb again on what production brought, and bring it live if it is shown to be better."),
    "drift": ("drift", "Compare two tables or two windows of traffic, column by column."),
    "report": ("report", "Write the decision as one HTML file."),
    "compare": ("compare", "Test two candidates against each other on the dev rows."),
    "replay": ("replay", "Recompute a decision from the stored scores; it must agree."),
    "lineage": ("lineage", "Walk from a candidate to its training rows, or from a row to what it reached."),
    "doctor": ("doctor", "What works here, what is missing, and what to type."),
}


STOPPED = 130  # by Ctrl-C, as shells count it


@click.group(
    cls=Verbs,
    verbs=VERBS,
    folder="rungwise.cli",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
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
