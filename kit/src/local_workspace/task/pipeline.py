"""An update of a pipeline in a process of its own: `local_pipelines` runs the sources on the workspace's tables."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from pathlib import Path
from typing import Any, Final

from local_workspace.task import session
from local_workspace.task.context import Context

EVENTS: Final = "events.jsonl"
REFERENCE: Final = re.compile(r"\{\{\s*secrets/([\w.@-]+)/([\w.@-]+)\s*\}\}")


def run(context: Context) -> str:
    """Run the update of a request, and return as JSON how it ended: its state, and the problems that no event tells.

    Each event of the log is a line of `EVENTS` as soon as it happens. SIGTERM cancels the update.
    """
    request = context.request
    cancelled = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: cancelled.set())
    os.environ["PYTHONPATH"] = os.pathsep.join([*request["libraries"], *filter(None, [os.environ.get("PYTHONPATH")])])
    from local_pipelines import DefinitionError, PipelineError, run_update
    from local_pipelines.declaring.sources import PipelineSource

    given = request["pipeline"]
    source = PipelineSource(
        name=given["name"],
        files=[Path(file) for file in given["files"]],
        folders=[Path(folder) for folder in given["folders"]],
        catalog=given["catalog"],
        schema=given["schema"],
        configuration={key: _value(value, context) for key, value in given["parameters"].items()},
    )
    spark = session.session()
    if cancelled.is_set():
        return json.dumps({"state": "CANCELED", "problems": []})
    with (context.folder / EVENTS).open("a", encoding="utf-8") as events:

        def tell(event: dict[str, Any]) -> None:
            if event["event_type"] != "create_update":  # the server has told that
                events.write(json.dumps(event, ensure_ascii=False, default=str) + "\n")
                events.flush()

        try:
            result = run_update(
                source, spark, given["storage"], listener=tell, cancelled=cancelled, secrets=context.secrets,
                **given["options"],
            )  # fmt: skip
        except DefinitionError as error:
            return json.dumps({"state": "FAILED", "problems": [str(problem) for problem in error.problems]})
        except PipelineError as error:
            return json.dumps({"state": "FAILED", "problems": [str(error)]})
    return json.dumps({"state": result.state, "problems": []})


def _value(value: str, context: Context) -> str:
    """Return a parameter as the pipeline gets it: a secret for its reference, a folder of this machine for a path."""
    reference = REFERENCE.fullmatch(value.strip())
    return context.secret(reference[1], reference[2]).decode() if reference else context.local(value)
