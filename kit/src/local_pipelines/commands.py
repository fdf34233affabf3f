"""``devkit pipeline run|validate|graph|events SOURCE…``, and ``deploy``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_pipelines import deploying
from local_pipelines.declaring import sources
from local_pipelines.errors import DefinitionError, PipelineError
from local_pipelines.log import event_log
from local_pipelines.storage import safe, write_whole

DEFAULT_STORAGE = Path("data") / "pipelines"
EVERYTHING = "*"
OF_CONDITIONS: dict[str, Any] = {
    "action": "append",
    "default": [],
    "metavar": "FLOW=CONDITION",
    "help": "in the place of a flow's replace_where, this once: to fill in or correct history",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs and their options."""
    verbs = parser.add_subparsers(dest="pipeline_verb", required=True, metavar="VERB")
    for verb, (summary, run) in VERBS.items():
        sub = verbs.add_parser(verb, help=summary, description=summary)
        sub.add_argument(
            "source", nargs="+", metavar="SOURCE", help="a source file or notebook, a folder, a pipeline's YAML"
        )
        sub.add_argument(
            "--storage", type=Path, metavar="FOLDER", help="tables, checkpoints and log (default: data/pipelines/NAME)"
        )
        sub.set_defaults(run=run)
        if verb != "events":
            sub.add_argument(
                *("--set", "-s"), action="append", default=[], metavar="KEY=VALUE", help="a parameter of the pipeline"
            )
            sub.add_argument("--conf-file", type=Path, metavar="FILE", help="configuration of a configured class")
        if verb in ("run", "validate"):
            sub.add_argument("--replace-where", **OF_CONDITIONS)
            sub.add_argument("--report", type=Path, metavar="FILE", help="write what happened as JSON")
        if verb == "run":
            sub.add_argument(
                *("--full-refresh",),
                nargs="?",
                const=EVERYTHING,
                metavar="NAMES",
                help="clear and recompute everything, or the tables named (comma separated)",
            )
            sub.add_argument("--refresh", metavar="NAMES", help="update the tables named alone (comma separated)")
            sub.add_argument(
                "--continuous", action="store_true", help="go on with what is new until Ctrl-C, or until a flow fails"
            )
        if verb == "graph":
            sub.add_argument("--html", type=Path, metavar="FILE", help="write the graph as a page to look at")
        if verb == "events":
            sub.add_argument("--update", metavar="ID", help="of this update alone; 'last' for the newest")
            sub.add_argument("--json", action="store_true", help="one event a line, as they are stored")
    summary = "create or edit the pipelines of a workflow specification in a workspace"
    deploying.add_arguments(verbs.add_parser("deploy", help=summary, description=summary))


def _pairs(given: list[str], option: str, form: str = "KEY=VALUE") -> dict[str, str]:
    found = {}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise PipelineError(f"cannot read {pair!r}", origin=option, remedy=f"Write {form}.")
        found[key] = value
    return found


def _storage(arguments: argparse.Namespace, source: sources.PipelineSource) -> Path:
    given: Path | None = arguments.storage
    return given or DEFAULT_STORAGE / safe(source.name)


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _report(arguments: argparse.Namespace, content: Mapping[str, Any]) -> None:
    if arguments.report:
        write_whole(arguments.report.absolute(), json.dumps(content, indent=2, default=str) + "\n")


def _update(arguments: argparse.Namespace, *, validate_only: bool) -> int:
    from local_pipelines.log.drawing import summary

    try:
        source = sources.find(arguments.source)
        parameters = _pairs(arguments.set, "--set")
        if source.continuous and not validate_only and not arguments.continuous:
            print("the pipeline is continuous: this is one update of it, unless --continuous is given", file=sys.stderr)
        result = _run(arguments, source, parameters, validate_only=validate_only)
    except DefinitionError as error:
        problems = [
            {
                "message": problem.message,
                "file": problem.place.file if problem.place else None,
                "line": problem.place.line if problem.place else None,
            }
            for problem in error.problems
        ]
        failed = {"state": "FAILED", "error": str(error), "problems": problems, "flows": {}, "datasets": {}}
        _report(arguments, failed)
        print(error, file=sys.stderr)
        return 1
    except PipelineError as error:
        _report(arguments, {"state": "FAILED", "error": str(error), "flows": {}, "datasets": {}})
        raise
    _report(arguments, result.report())
    print(summary(result, validate_only=validate_only))
    return 0 if result.state == "COMPLETED" else 1


def _run(
    arguments: argparse.Namespace, source: sources.PipelineSource, parameters: dict[str, str], *, validate_only: bool
) -> Any:
    from local_pipelines.run import run_update
    from spark_utils.session import get_session

    if arguments.conf_file:
        source.confs[None] = arguments.conf_file
    full = getattr(arguments, "full_refresh", None)
    spark = get_session("pipeline", fast_start=True, config={"spark.ui.enabled": "false"})
    return run_update(
        source,
        spark,
        _storage(arguments, source),
        parameters=parameters,
        full_refresh=full == EVERYTHING if full in (None, EVERYTHING) else _names(full),
        refresh=_names(getattr(arguments, "refresh", None)),
        replace_where=_pairs(getattr(arguments, "replace_where", []), "--replace-where", "FLOW=CONDITION"),
        validate_only=validate_only,
        continuous=getattr(arguments, "continuous", False),
        listener=None if validate_only else _say,
    )


def _say(event: dict[str, Any]) -> None:
    if event["event_type"] in ("flow_progress", "update_progress", "user_action"):
        reason = event["error"]["exceptions"][0]["message"] if event["error"] else ""
        print(f"{event['timestamp'][11:19]} {event['message']}{': ' if reason else ''}{reason}", file=sys.stderr)


def _run_verb(arguments: argparse.Namespace) -> int:
    return _update(arguments, validate_only=False)


def _validate_verb(arguments: argparse.Namespace) -> int:
    return _update(arguments, validate_only=True)


def _graph_verb(arguments: argparse.Namespace) -> int:
    from local_pipelines.log import drawing

    source = sources.find(arguments.source)
    try:
        result = _run(arguments, source, _pairs(arguments.set, "--set"), validate_only=True)
    except DefinitionError as error:
        print(error, file=sys.stderr)
        return 1
    events = list(event_log.read_events(_storage(arguments, source) / "event_log.jsonl"))
    graph = drawing.graph_of(result, events)
    print(drawing.as_text(graph))
    if arguments.html:
        write_whole(arguments.html.absolute(), drawing.as_page(graph, source.name))
    return 0


def _events_verb(arguments: argparse.Namespace) -> int:
    source = sources.find(arguments.source)
    file = _storage(arguments, source) / "event_log.jsonl"
    if not file.exists():
        raise PipelineError(f"{file} does not exist", remedy="Run the pipeline first, with the same --storage.")
    events = list(event_log.read_events(file))
    wanted = arguments.update
    if wanted == "last" and events:
        wanted = events[-1]["origin"]["update_id"]
    for event in events:
        if wanted and event["origin"]["update_id"] != wanted:
            continue
        if arguments.json:
            print(json.dumps(event, ensure_ascii=False))
        else:
            print(f"{event['timestamp']} {event['level']:7} {event['event_type']:18} {event['message']}")
    return 0


VERBS = {
    "run": ("run an update", _run_verb),
    "validate": ("find every mistake without writing anything", _validate_verb),
    "graph": ("draw the datasets and what they read", _graph_verb),
    "events": ("show the event log", _events_verb),
}
