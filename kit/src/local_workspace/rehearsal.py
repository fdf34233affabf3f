"""``devkit rehearse``: a whole deployment on a local workspace: plan, apply, run, look, change, prune, destroy.

Every step is the command that a team would type against Azure; only `DATABRICKS_HOST` and `DATABRICKS_TOKEN` differ.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spark_utils.errors import RuntimeSetupError

if TYPE_CHECKING:
    from devkit.hub.broker import LocalHub
    from local_workspace import Workspace

DECLARATION: Final = Path("configuration") / "deploy"
EVENTS: Final = 500
MALFORMED: Final = 0.05
QUERIES: Final = (
    "SELECT count(*), max(enqueued_time) FROM delta.`/Volumes/main/default/telemetry/dev/events`",
    "SELECT reason, count(*) FROM delta.`/Volumes/main/default/telemetry/dev/rejected` GROUP BY reason ORDER BY 2 DESC",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `devkit rehearse [--events FILE]`."""
    parser.add_argument("--events", type=Path, metavar="FILE", help="bodies to send, one a line (default: telemetry)")
    parser.set_defaults(run=_rehearse)


def _rehearse(arguments: argparse.Namespace) -> int:
    from devkit.hub.broker import LocalHub
    from local_workspace import Workspace

    with tempfile.TemporaryDirectory() as folder, Workspace() as workspace, LocalHub(Path(folder) / "hub") as hub:
        print(f"A local workspace is up: {workspace.host}; and an event hub of its own: {hub.bootstrap_server}")
        Rehearsal(workspace, hub, Path(folder), arguments.events).play()
    return 0


class Rehearsal:
    """The acts of a deployment, each printed as it is typed.

    Args:
        workspace: The local workspace.
        hub: The local event hub.
        folder: Where a copy of the declaration is changed, so that the project's own stays as it is.
        events: Bodies to send, one a line; telemetry is generated when there are none.
    """

    def __init__(self, workspace: Workspace, hub: LocalHub, folder: Path, events: Path | None = None) -> None:
        self.workspace = workspace
        self.events = events
        hub.create_hub("telemetry", partitions=2)
        self.copy = folder / "project"
        shutil.copytree(DECLARATION.parent, self.copy / DECLARATION.parent)
        (self.copy / "dist").symlink_to(Path("dist").absolute())
        self.environment = {
            **os.environ,
            "DATABRICKS_HOST": workspace.host,
            "DATABRICKS_TOKEN": workspace.token,
            "HUB_CONNECTION_STRING": hub.connection_string("telemetry"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def play(self) -> None:
        """Go through all acts; the first that fails ends it."""
        self._say("Build the wheel, send events")
        self._type("python", "-m", "build", "--wheel", "--outdir", "dist", ".")
        self._send_events()
        self._say("Deploy to dev: see the plan first, then apply it")
        self._deploy("plan")
        self._deploy("apply")
        self._say("Run the job: it reads the hub's events and writes two Delta tables")
        self._deploy("run", "streaming", "--interval", "1")
        self._show_rows()
        self._say("Deploy again: nothing differs, so nothing is done")
        self._deploy("apply")
        self._say("Change the number of workers, and drop the notebook: the plan shows just that")
        self._change("environments/dev.yml", "workers: 1", "workers: 2")
        self._drop_notebook()
        self._deploy("plan")
        self._deploy("apply")
        self._say("Prune what is no longer declared, then take everything away again")
        self._deploy("prune", "--yes")
        self._deploy("destroy", "--max", "50", "--yes")
        self._count()

    def _say(self, text: str) -> None:
        print(f"\n── {text}", flush=True)

    def _send_events(self) -> None:
        from devkit.hub.client import EventSender
        from devkit.hub.generator import Shares, generate

        with EventSender(self.environment["HUB_CONNECTION_STRING"]) as sender:
            if self.events:
                for body in self.events.read_bytes().splitlines():
                    sender.send(body)
            else:
                for event in generate(EVENTS, shares=Shares(malformed=MALFORMED)):
                    sender.send(event.body, key=event.key, headers=event.headers)
        print(f"sent {sender.acknowledged} events of {self.events or f'telemetry, {MALFORMED:.0%} malformed'}")

    def _type(self, *command: str, folder: Path | None = None, quiet: bool = True) -> None:
        """Print a command and run it; what a quiet one says shows only when it fails."""
        typed = " ".join(command)
        print(f"$ {typed}", flush=True)
        done = subprocess.run(command, cwd=folder, env=self.environment, check=False, capture_output=quiet, text=True)
        if done.returncode:
            print(done.stdout or "", done.stderr or "", sep="")
            raise RuntimeSetupError(f"`{typed}` ended with status {done.returncode}")

    def _deploy(self, verb: str, *arguments: str) -> None:
        self._type("devkit", "deploy", verb, "--environment", "dev", *arguments, folder=self.copy, quiet=False)

    def _show_rows(self) -> None:
        """Ask the workspace's SQL warehouse, as a person would."""
        client = self.workspace.client()
        for query in QUERIES:
            print(f"$ SQL: {query}")
            warehouse = self.workspace.state().identity.warehouse_id
            answer = client.statement_execution.execute_statement(query, warehouse, wait_timeout="50s")
            rows = answer.result.data_array if answer.result else None
            if not rows:
                problem = answer.status.error.message if answer.status and answer.status.error else "no rows"
                raise RuntimeSetupError(f"the statement shows nothing: {problem}")
            for row in rows:
                print("  ", *row)

    def _change(self, name: str, old: str, new: str) -> None:
        file = self.copy / DECLARATION / name
        text = file.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise RuntimeSetupError(f"{old!r} does not stand once in the file", origin=str(DECLARATION / name))
        file.write_text(text.replace(old, new), encoding="utf-8")
        print(f"  {DECLARATION / name}: {' '.join(old.split())} -> {new or 'nothing'}")

    def _drop_notebook(self) -> None:
        self._change(
            "resources/job.yml",
            "  notebooks:\n    look:\n      file: configuration/deploy/notebooks/look.py\n\n",
            "",
        )

    def _count(self) -> None:
        from local_workspace.server.routing import ANY_VERSION

        calls = self.workspace.calls
        self._say(f"{sum(calls.values())} calls of {len(calls)} routes, all by the official SDK; the most frequent:")
        for route, count in sorted(calls.items(), key=lambda item: -item[1])[:10]:
            print(f"{count:6}  {route.replace(ANY_VERSION, '2.x')}")
