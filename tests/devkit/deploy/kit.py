"""What the tests of deployment share: a declaration in a folder, a clock that never waits, a deployer."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from databricks.sdk.clock import Clock
from databricks.sdk.core import Config

from devkit.deploy.applying import apply
from devkit.deploy.declaration.loading import load
from devkit.deploy.declaration.model import Declaration, Desired
from devkit.deploy.declaration.values import Values
from devkit.deploy.plan.model import Actual, ActualState, Plan
from devkit.deploy.plan.planning import plan
from devkit.deploy.resources import record
from devkit.deploy.resources.base import Context
from devkit.deploy.resources.secrets import secret_digests
from devkit.deploy.workspace.client import RetryPolicy, connect
from local_workspace import Workspace

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

CANARY = "canary-4711-SECRET"
WRITES = ("POST", "PUT", "PATCH", "DELETE")


class FakeClock(Clock):
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Project:
    """A declaration in a folder, rewritten at will."""

    folder: Path
    environ: dict[str, str] = field(default_factory=lambda: {"HUB": CANARY})

    def write(self, path: str, text: str) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def environment(self, text: str = "", name: str = "dev", head: str = "project: demo") -> None:
        self.write(f"environments/{name}.yml", f"{head}\ninclude: [../resources/*.yml]\n{text}")

    def resources(self, text: str, name: str = "all") -> None:
        self.write(f"resources/{name}.yml", text)
        if not (self.folder / "environments" / "dev.yml").exists():
            self.environment()

    def wheel(self, code: str = "one", name: str = "demo-1.0-py3-none-any.whl") -> Path:
        file = self.folder / "dist" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("demo/__init__.py", f"CODE = {code!r}\n")
            archive.writestr("demo-1.0.dist-info/RECORD", str(time.time_ns()))  # its lines may change their order
        return file

    def load(self, environment: str = "dev") -> Declaration:
        return load(environment, self.folder)

    @property
    def values(self) -> Values:
        return Values(environ=self.environ, folder=self.folder, keyring=lambda _service, _user: None)


@dataclass
class Deployer:
    """Deploys a project to a local workspace."""

    workspace: Workspace
    project: Project
    clock: FakeClock = field(default_factory=FakeClock)
    lines: list[str] = field(default_factory=list)
    token: str | None = None

    def __post_init__(self) -> None:
        self.client = client_of(self.workspace, self.clock, self.token)

    def plan(self, environment: str = "dev", *, adopt: bool = False) -> Plan:
        declaration = self.project.load(environment)
        state = record(self.client, declaration)
        digests = secret_digests(declaration, state, self.project.values)
        return plan(declaration, state, adopt=adopt, secret_digests=digests)

    def context(self, declaration: Declaration) -> Context:
        return Context(self.client, self.clock, declaration, self.project.values)

    def apply(self, environment: str = "dev", *, adopt: bool = False) -> Plan:
        planned = self.plan(environment, adopt=adopt)
        apply(planned, self.context(planned.declaration), self.lines.append)
        return planned

    def verbs(self, environment: str = "dev") -> dict[str, str]:
        return {action.address: action.verb for action in self.plan(environment).changes}

    def writes(self) -> int:
        """How many calls could have written; asking for an address to download from is none of them."""
        written = (
            call for call in self.workspace.calls if call.split()[0] in WRITES and "create-download-url" not in call
        )
        return sum(self.workspace.calls[call] for call in written)


def client_of(
    workspace: Workspace, clock: Clock, token: str | None = None, policy: RetryPolicy | None = None
) -> WorkspaceClient:
    config = Config(host=workspace.host, token=token or workspace.token, auth_type="pat")
    return connect(config, clock, policy)


def desired(kind: str, key: str, body: Mapping[str, Any], name: str = "", **more: Any) -> Desired:
    name = name or str(body.get("name") or body.get("cluster_name") or key)
    return Desired(kind, key, name, dict(body), f"{key}.yml:1", **more)


def declaration(*resources: Desired, **more: Any) -> Declaration:
    return Declaration("demo", "dev", "/Shared/demo/dev", "", "/Repos/demo-dev", resources=resources, **more)


def actual_of(declared: Declaration, resource: Desired, identity: str = "id-1", **body: Any) -> Actual:
    """What a workspace has after `resource` was deployed."""
    return Actual(resource.kind, identity, resource.name, {**resource.body, **body}, declared.owners[resource.address])


def state_of(*items: Actual) -> ActualState:
    return ActualState("http://127.0.0.1", "me", items)
