"""The `devkit` command: each verb lives beside the code that it drives."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points

from spark_utils.errors import SparkUtilsError

# verb -> (module with `add_arguments(parser)`, one-line help); the module sets `parser.set_defaults(run=...)`,
# and `run(arguments) -> int` gives the exit status.
ENTRY_POINT_GROUP = "devkit.commands"
COMMANDS: dict[str, tuple[str, str]] = {
    "hub": ("devkit.hub.commands", "the local event hub: up, down, status, reset, send"),
    "deploy": ("devkit.deploy.commands", "what is declared, on a workspace: plan, apply, prune, run, wait and more"),
    "api": ("devkit.deploy.api_command", "a free-form call of a workspace's REST API: METHOD PATH [JSON]"),
    "spark": ("devkit.spark.server_command", "a warm local Spark to attach to: up, down, status, logs"),
    "azurite": ("devkit.storage.azurite_command", "a storage account on this machine, for abfs:// paths: up"),
    "tables": ("devkit.project.tables", "what a job has written: counts, newest rows, reasons"),
    "checkpoint": ("devkit.project.checkpoint", "how far a checkpoint and its tables have come: show, repair"),
    "jars": ("devkit.spark.jars_command", "the jars of the runtime profiles: fetch, verify, lock"),
    "runtime": ("devkit.spark.runtime_command", "the runtime profiles: list, spark-defaults"),
    "env": ("devkit.spark.environment_command", "what a plain spark-submit needs, as lines for a shell"),
    "schema": ("devkit.project.schema_commands", "infer a schema from samples, or show one: infer, show"),
    "warm": ("devkit.spark.warm_up", "write the archive that lets later sessions start in a third of the time"),
    "config": (
        "devkit.project.config_command",
        "the sample configuration and the table of options, written from the options",
    ),
}


def commands() -> dict[str, tuple[str, str]]:
    """Return every verb: devkit's own, and those that other packages add (entry point group `devkit.commands`)."""
    added = (entry_point.load() for entry_point in entry_points(group=ENTRY_POINT_GROUP))
    return {**COMMANDS, **{verb: command for commands in added for verb, command in commands.items()}}


def build_parser(wanted: str | None) -> argparse.ArgumentParser:
    """Build the parser of all verbs, with the arguments of the wanted one: no other verb's module is imported."""
    parser = argparse.ArgumentParser(prog="devkit", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, (module, summary) in commands().items():
        verb_parser = verbs.add_parser(verb, help=summary, description=summary)
        if verb == wanted:
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


if __name__ == "__main__":
    sys.exit(main())
