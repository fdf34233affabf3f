"""`devkit checkpoint`: its arguments; what it does is `devkit.project.checkpoint`, which needs Spark."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `devkit checkpoint show|repair [OUTPUT_PATH] [--checkpoint-path PATH]`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, summary in (
        ("show", "how far checkpoint and tables have come, and whether they belong together"),
        ("repair", "move the checkpoint aside and set up a new one from what the tables hold"),
    ):
        action = actions.add_parser(name, help=summary, description=summary)
        action.add_argument("output_path", nargs="?", default="data/telemetry", help="the job's --output-path")
        action.add_argument("--checkpoint-path", help="the job's --checkpoint-path (default: OUTPUT_PATH/checkpoint)")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from devkit.project.checkpoint import repair, show

    return show(arguments) if arguments.action == "show" else repair(arguments)
