"""``devkit rehearse``: a whole deployment on a local workspace: plan, apply, run, look, change, prune, destroy.

Every step is the command that a team would type against Azure; only `DATABRICKS_HOST` and `DATABRICKS_TOKEN` differ.
It works on a copy of whatever is declared: nothing here knows the project's names, tables or events.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spark_utils.errors import RuntimeSetupError
from spark_utils.names import quote

if TYPE_CHECKING:
    from databricks.sdk.service.sql import StatementResponse
    from ruamel.yaml import YAML

    from local_workspace.server.workspace import Workspace

DECLARATION: Final = Path("configuration") / "deploy"
HUB: Final = "rehearsal"
# The variables of the environment that a declaration takes a hub's connection string from.
HUB_VARIABLE: Final = re.compile(r"\$\{env\.(\w*CONNECTION_STRING\w*)\}")
EVENTS: Final = 500
MALFORMED: Final = 0.05
POLL_SECONDS: Final = 0.5
MOST_DELETED: Final = "1000"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `devkit rehearse [--environment NAME] [--events FILE]`."""
    parser.add_argument(
        "--environment", default="dev", metavar="NAME", help="the environment to deploy (default: %(default)s)"
    )
    parser.add_argument(
        "--events", type=Path, metavar="FILE", help="event bodies to send, one per line (default: generated telemetry)"
    )
    parser.set_defaults(run=_rehearse)


def _rehearse(arguments: argparse.Namespace) -> int:
    from devkit.hub.broker import LocalHub
    from local_workspace import Workspace

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        copy = DeclarationCopy(Path.cwd(), folder / "project", arguments.environment)
        workspace = stack.enter_context(Workspace())
        print(f"A local workspace is running at {workspace.host}")
        connection_string = ""
        if copy.hub_variables():
            hub = stack.enter_context(LocalHub(folder / "hub"))
            hub.create_hub(HUB, partitions=2)
            connection_string = hub.connection_string(HUB)
            print(f"A local event hub is running at {hub.bootstrap_server}")
        Rehearsal(workspace, copy, connection_string, arguments.events).play()
    return 0


class DeclarationCopy:
    """A copy of a project's declaration that is changed in its place; the rest of the project is linked to.

    Args:
        project: The folder that holds ``configuration/``.
        folder: Where the copy is made.
        environment: The environment that is deployed.

    Raises:
        RuntimeSetupError: The project declares no such environment.
    """

    def __init__(self, project: Path, folder: Path, environment: str) -> None:
        self.folder = folder
        self.environment = environment
        wanted = DECLARATION / "environments" / f"{environment}.yml"
        if not (project / wanted).is_file():
            remedy = "Run it in the project's folder, and give --environment if it is not dev."
            raise RuntimeSetupError(
                "there is nothing to rehearse: the file is missing", origin=str(wanted), remedy=remedy
            )
        shutil.copytree(project / DECLARATION.parent, folder / DECLARATION.parent)
        for name in {each.name for each in project.iterdir()} | {"dist"}:  # which the build may yet have to make
            if name != DECLARATION.parent.name:
                (folder / name).symlink_to(project.absolute() / name)

    def hub_variables(self) -> set[str]:
        """Return the environment variables that the declaration takes connection strings from."""
        return {name for file in self._files() for name in HUB_VARIABLE.findall(file.read_text(encoding="utf-8"))}

    def describe_a_job(self, text: str) -> str:
        """Change the description of the first job; return its address, or nothing where no job is declared."""
        for file, content, kind, key in self._resources({"jobs"}):
            content["resources"][kind][key]["description"] = text
            _yaml().dump(content, file)
            return f"jobs.{key}"
        return ""

    def drop_a_resource(self) -> str:
        """Drop the first notebook, file or folder that nothing refers to; return its address, or nothing."""
        texts = [file.read_text(encoding="utf-8") for file in self._files()]
        for file, content, kind, key in self._resources({"notebooks", "files", "folders"}):
            if not any(f"${{{kind}.{key}." in text for text in texts):
                resources = content["resources"]
                del resources[kind][key]
                if not resources[kind]:
                    del resources[kind]
                _yaml().dump(content, file)
                return f"{kind}.{key}"
        return ""

    def _files(self) -> list[Path]:
        """Return the files of the environment: its own, and those that belong to no environment."""
        root = self.folder / DECLARATION
        own = root / "environments" / f"{self.environment}.yml"
        return [own, *sorted(file for file in root.rglob("*.yml") if file.parent.name != "environments")]

    def _resources(self, kinds: set[str]) -> Iterator[tuple[Path, Any, str, str]]:
        """Yield file, content of the file, kind and key of each resource of some kinds."""
        for file in self._files():
            content = _yaml().load(file)
            declared = (content.get("resources") if isinstance(content, dict) else None) or {}
            for kind in declared:
                if kind in kinds:
                    yield from ((file, content, kind, key) for key in list(declared[kind] or ()))


def _yaml() -> YAML:
    """Return what reads and writes YAML 1.2 with its comments, anchors and quotes."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096
    return yaml


class Rehearsal:
    """The acts of a deployment, each printed as it is typed.

    Args:
        workspace: The local workspace.
        copy: The declaration to deploy.
        connection_string: Of the local event hub; empty where the declaration has none.
        events: Bodies to send, one per line; telemetry is generated when there are none.
    """

    def __init__(
        self, workspace: Workspace, copy: DeclarationCopy, connection_string: str = "", events: Path | None = None
    ) -> None:
        self.workspace = workspace
        self.copy = copy
        self.connection_string = connection_string
        self.events = events
        self.environment = {
            **os.environ,
            **dict.fromkeys(copy.hub_variables(), connection_string),
            "DATABRICKS_HOST": workspace.host,
            "DATABRICKS_TOKEN": workspace.token,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def play(self) -> None:
        """Go through all acts; the first that fails ends it."""
        if any(Path(name).is_file() for name in ("setup.py", "pyproject.toml")):
            self._say("Build the wheel")
            self._type("python", "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", ".")
        if self.connection_string:
            self._say("Send events to the local hub")
            self._send_events()
        self._say(f"Deploy to {self.copy.environment}: see the plan first, then apply it")
        self._deploy("plan")
        self._deploy("apply")
        self._run()
        self._say("Deploy again: nothing differs, so nothing is done")
        self._deploy("apply")
        self._change()
        self._say("Prune what is no longer declared, then take everything away again")
        self._deploy("prune", "--yes")
        self._deploy("destroy", "--max", MOST_DELETED, "--yes")
        self._count()

    def _say(self, text: str) -> None:
        print(f"\n── {text}", flush=True)

    def _send_events(self) -> None:
        from devkit.hub.client import EventSender
        from devkit.hub.generator import Shares, generate

        with EventSender(self.connection_string) as sender:
            if self.events:
                for body in self.events.read_bytes().splitlines():
                    sender.send(body)
            else:
                for event in generate(EVENTS, shares=Shares(malformed=MALFORMED)):
                    sender.send(event.body, key=event.key, headers=event.headers)
        print(f"sent {sender.acknowledged} events of {self.events or f'telemetry, {MALFORMED:.0%} malformed'}")

    def _type(self, *command: str, folder: Path | None = None, quiet: bool = True) -> None:
        """Print a command and run it; what a quiet one prints is shown only when it fails."""
        typed = " ".join(command)
        print(f"$ {typed}", flush=True)
        done = subprocess.run(command, cwd=folder, env=self.environment, check=False, capture_output=quiet, text=True)
        if done.returncode:
            print(done.stdout or "", done.stderr or "", sep="")
            raise RuntimeSetupError(f"`{typed}` ended with status {done.returncode}")

    def _deploy(self, verb: str, *arguments: str) -> None:
        environment = ("--environment", self.copy.environment)
        self._type("devkit", "deploy", verb, *environment, *arguments, folder=self.copy.folder, quiet=False)

    def _run(self) -> None:
        for job in self.workspace.client().jobs.list():
            name = str(job.settings.name if job.settings else job.job_id)
            self._say(f"Run the job {name}")
            self._deploy("run", name, "--interval", "1")
        for pipeline in self.workspace.client().pipelines.list_pipelines():
            self._say(f"Update the pipeline {pipeline.name}")
            path = f"/api/2.0/pipelines/{pipeline.pipeline_id}/updates"
            environment = ("--environment", self.copy.environment)
            self._type("devkit", "api", "POST", path, "{}", *environment, folder=self.copy.folder, quiet=False)
            self._deploy("wait", "--pipeline", str(pipeline.name), "--interval", "1")
        self._say("Look at the tables, as a person would: by the workspace's SQL warehouse")
        found = list(self._tables())
        if not found:
            print("  There is no Delta table beneath the warehouse and /Volumes.")
        for table in found:
            self._show(table)

    def _tables(self) -> Iterator[str]:
        """Yield the Delta tables of the workspace as SQL names them: of its warehouse, and beneath its volumes."""
        answer: Any = self.workspace.client().api_client.do("GET", "/local/tables")
        yield from (quote(*table["name"].split(".", 2)) for table in answer["tables"])
        volumes = self.workspace.state().path("volumes")
        for log in sorted(volumes.rglob("_delta_log")):
            yield f"delta.{quote(f'/Volumes/{log.parent.relative_to(volumes)}')}"

    def _show(self, table: str) -> None:
        self._query(f"SELECT count(*) FROM {table}")  # noqa: S608 - a name that is quoted
        columns = [row[0] for row in self._statement(f"DESCRIBE TABLE {table}")]
        if "reason" in columns:
            self._query(f"SELECT reason, count(*) FROM {table} GROUP BY reason ORDER BY 2 DESC")  # noqa: S608 - so is this

    def _query(self, text: str) -> None:
        print(f"$ SQL: {text}")
        for row in self._statement(text):
            print("  ", *row)

    def _statement(self, text: str) -> list[list[str]]:
        """Run a statement to its end, however long it takes.

        Raises:
            RuntimeSetupError: It fails.
        """
        statements = self.workspace.client().statement_execution
        warehouse = self.workspace.state().identity.warehouse_id
        answer: StatementResponse = statements.execute_statement(text, warehouse, wait_timeout="30s")
        while answer.status and answer.status.state and answer.status.state.value in ("PENDING", "RUNNING"):
            time.sleep(POLL_SECONDS)
            answer = statements.get_statement(str(answer.statement_id))
        if answer.status and answer.status.error:
            raise RuntimeSetupError(f"the statement failed: {answer.status.error.message}")
        return (answer.result.data_array if answer.result else None) or []

    def _change(self) -> None:
        self._say("Change a job's description and drop a resource: the plan shows just that")
        described = self.copy.describe_a_job("Changed by a rehearsal")
        print(f"  described anew: {described or 'nothing, as no job is declared'}")
        dropped = self.copy.drop_a_resource()
        print(f"  dropped: {dropped or 'nothing, as everything is referred to'}")
        self._deploy("plan")
        self._deploy("apply")

    def _count(self) -> None:
        from local_workspace.server.routing import ANY_VERSION

        calls = self.workspace.calls
        self._say(f"{sum(calls.values())} calls of {len(calls)} routes, all by the official SDK; the most frequent:")
        for route, count in sorted(calls.items(), key=lambda item: -item[1])[:10]:
            print(f"{count:6}  {route.replace(ANY_VERSION, '2.x')}")
