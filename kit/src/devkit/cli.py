"""The `devkit` command: each verb lives beside the code that it drives."""

from __future__ import annotations

import argparse
import importlib
import re
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import NoReturn

from devkit import __version__
from spark_utils.errors import SparkUtilsError
from spark_utils.names import suggestion

DESCRIPTION = "Databricks streaming jobs on your laptop: local Spark, event hub, storage and workspace, and deployment."
EPILOG = """\
`devkit VERB --help` explains a verb. A first run, without an account: `devkit hub up`, `devkit hub send --generate
1000`, `python src/streaming_job.py --stop-after "20 seconds"`, `devkit tables`. A deployment: `devkit deploy plan`.
"""
# verb -> (module with `add_arguments(parser)`, one-line help); the module sets `parser.set_defaults(run=...)`,
# and `run(arguments) -> int` gives the exit status.
ENTRY_POINT_GROUP = "devkit.commands"
COMMANDS: dict[str, tuple[str, str]] = {
    "hub": ("devkit.hub.commands", "run a local event hub, send and generate events"),
    "tables": ("devkit.project.tables", "show what a job has written: counts, newest rows, reasons for rejection"),
    "watch": ("devkit.project.watch_command", "run the job on a sample at every save, and show what changed"),
    "page": ("devkit.live.commands", "show the streams of this machine as they run, on a page"),
    "init": ("devkit.project.init", "write a new project of one's own: a job or a pipeline, with its tests"),
    "checkpoint": (
        "devkit.project.checkpoint_command",
        "show how far a checkpoint and its tables have come, or repair them",
    ),
    "spark": ("devkit.spark.server_command", "keep a local Spark ready, which jobs and tests attach to in a second"),
    "azurite": ("devkit.storage.azurite_command", "run a local storage account, for abfs:// paths"),
    "deploy": ("devkit.deploy.commands", "plan and apply what is declared in configuration/deploy to a workspace"),
    "api": ("devkit.deploy.api_command", "call a workspace's REST API: METHOD PATH [JSON]"),
    "schema": ("devkit.project.schema_commands", "infer a schema from samples, or show one in another form"),
    "doctor": ("devkit.project.doctor", "look whether this machine and project can run the job; status 1 if not"),
    "config": ("devkit.project.config_command", "write the sample configuration, or what starts the job elsewhere"),
    "runtime": (
        "devkit.spark.runtime_command",
        "list, show or use a Databricks Runtime here, and compare one with a cluster",
    ),
    "jars": ("devkit.spark.jars_command", "fetch, verify or lock the jars of a runtime"),
    "warm": ("devkit.spark.warm_up", "prepare the archive that lets Spark start in a third of the time"),
    "completion": ("devkit.project.completion", "print what lets bash or zsh complete verbs and options"),
    "env": ("devkit.spark.environment_command", "print the shell variables that a plain spark-submit or pyspark needs"),
}


class Parser(argparse.ArgumentParser):
    """A parser that suggests the nearest word when a verb or a choice is misspelt."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, and end with status 2."""
        choice = re.match(r"argument ([^:]*): invalid choice: '(.*?)' \(choose from (.*)\)$", message)
        if choice:
            what, word, known = choice[1].lower(), choice[2], re.findall(r"[^\s',]+", choice[3])
            message = f"unknown {what} {word!r}{suggestion(word, known) or '.'} Known: {', '.join(known)}."
        super().error(message)


def commands() -> dict[str, tuple[str, str]]:
    """Return every verb: devkit's own, and those that other packages add (entry point group `devkit.commands`)."""
    added = (entry_point.load() for entry_point in entry_points(group=ENTRY_POINT_GROUP))
    return {**COMMANDS, **{verb: command for commands in added for verb, command in commands.items()}}


def build_parser(wanted: str | None, *, whole: bool = False) -> argparse.ArgumentParser:
    """Build the parser of all verbs, with the arguments of the wanted one: no other verb's module is imported.

    Args:
        wanted: The verb.
        whole: Whether to declare the arguments of every verb.
    """
    parser = Parser(
        prog="devkit", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"devkit {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, (module, summary) in commands().items():
        verb_parser = verbs.add_parser(verb, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if whole or verb == wanted:
            importlib.import_module(module).add_arguments(verb_parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; a known error is one line on stderr and exit status 1."""
    given = sys.argv[1:] if argv is None else argv
    arguments = build_parser(given[0] if given else None).parse_args(given)
    try:
        return int(arguments.run(arguments))
    except SparkUtilsError as error:
        print(f"devkit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
