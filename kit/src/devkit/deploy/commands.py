"""``devkit deploy``: plan, apply, prune, destroy, export, run, wait and bundle, each for one environment."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

    from devkit.deploy.declaration.model import Declaration
    from devkit.deploy.declaration.values import Values
    from devkit.deploy.plan.model import Actual, ActualState, Plan
    from devkit.deploy.resources.base import Context

Verb = Callable[[argparse.Namespace], int]
DEFAULT_FOLDER = Path("configuration") / "deploy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs and their options."""
    verbs = parser.add_subparsers(dest="deploy_verb", required=True, metavar="VERB")
    plan = _verb(verbs, "plan", _plan, "show what would change, and change nothing")
    plan.add_argument("--offline", action="store_true", help="compare with a recording instead of a workspace")
    plan.add_argument("--export", type=Path, metavar="FILE", help="the recording for --offline")
    plan.add_argument("--out", type=Path, metavar="FILE", help="write the plan as JSON, for `apply --expect`")
    apply = _verb(verbs, "apply", apply_declaration, "make the workspace as declared")
    apply.add_argument("--expect", type=Path, metavar="FILE", help="apply only if the plan still equals FILE")
    for verb in (plan, apply):
        verb.add_argument("--adopt", action="store_true", help="take over what has a declared name and no owner")
    for name, action, summary in (
        ("prune", _prune, "delete what this project owns here and no longer declares"),
        ("destroy", _destroy, "delete everything that this project owns here"),
    ):
        verb = _verb(verbs, name, action, summary)
        verb.add_argument("--max", type=int, default=5, metavar="N", help="refuse to delete more (default: 5)")
        verb.add_argument("--yes", action="store_true", help="delete; without it the list is only printed")
    export = _verb(verbs, "export", _export, "record the workspace in a file, for `plan --offline`")
    export.add_argument("file", type=Path, metavar="FILE")
    run = _verb(verbs, "run", _run, "start a job once, and wait for it unless --no-wait")
    run.add_argument("job", metavar="KEY", help="the key of the job in the declaration, or its name")
    run.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE", help="a job parameter")
    run.add_argument("--no-wait", action="store_true", help="print the id of the run and return")
    wait = _verb(verbs, "wait", _wait, "wait for a run, a cluster, a pipeline update or a healthy stream")
    what = wait.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", type=int, metavar="ID", dest="run_id", help="until a run has ended")
    what.add_argument("--cluster", metavar="NAME", help="until a cluster runs")
    what.add_argument("--pipeline", metavar="NAME", help="until the latest update of a pipeline has ended")
    what.add_argument("--stream", metavar="KEY", help="until the stream of a job runs and its batches advance")
    for verb in (run, wait):
        verb.add_argument("--interval", type=float, default=5.0, metavar="SECONDS", help="between polls (default: 5)")
        verb.add_argument(
            "--limit", type=float, default=3600.0, metavar="SECONDS", help="give up after (default: 3600)"
        )
    bundle = _verb(verbs, "bundle", _bundle, "write the databricks.yml of the same resources")
    bundle.add_argument("--out", type=Path, default=Path("databricks.yml"), metavar="FILE")


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: Verb, summary: str
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=summary, description=summary)
    add_workspace_arguments(verb)
    verb.set_defaults(run=masked(run))
    return verb


def add_workspace_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that select the workspace."""
    parser.add_argument("--environment", default="dev", metavar="NAME", help="a file of environments/ (default: dev)")
    parser.add_argument(
        "--folder", type=Path, default=DEFAULT_FOLDER, help=f"the declaration (default: {DEFAULT_FOLDER})"
    )
    parser.add_argument("--base", type=Path, metavar="FOLDER", help="the folder that local paths are relative to")
    parser.add_argument("--profile", metavar="NAME", help="a profile of ~/.databrickscfg")
    parser.add_argument("--proxy", metavar="URL", help="a proxy for every call")


def connect(arguments: argparse.Namespace, declaration: Declaration, values: Values) -> WorkspaceClient:
    """Return a client of the workspace that the environment and the options name."""
    from devkit.deploy.workspace.sign_in import sign_in

    given = {"profile": arguments.profile, "proxy": arguments.proxy}
    settings = {**declaration.workspace, **{name: value for name, value in given.items() if value}}
    return sign_in(settings, values)


class _Session:
    """What every verb begins with: the declaration, the values of secrets, and, once needed, a connection."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from devkit.deploy.declaration.loading import load

        self.arguments = arguments
        self.declaration: Declaration = load(arguments.environment, arguments.folder, arguments.base)
        self.values: Values = arguments.values
        self._client: WorkspaceClient | None = None

    @property
    def client(self) -> WorkspaceClient:
        if self._client is None:
            self._client = connect(self.arguments, self.declaration, self.values)
        return self._client

    @property
    def context(self) -> Context:
        from databricks.sdk.clock import RealClock

        from devkit.deploy.resources.base import Context

        return Context(self.client, RealClock(), self.declaration, self.values)

    def plan(self, state: ActualState | None = None) -> Plan:
        from devkit.deploy.plan.planning import plan
        from devkit.deploy.resources import record
        from devkit.deploy.resources.secrets import secret_digests

        state = state or record(self.client, self.declaration)
        digests = secret_digests(self.declaration, state, self.values)
        adopt = getattr(self.arguments, "adopt", False)
        return plan(self.declaration, state, adopt=adopt, secret_digests=digests)


def masked(verb: Verb) -> Verb:
    """Return a verb whose errors show no secret that was looked up."""

    def run(arguments: argparse.Namespace) -> int:
        from devkit.deploy.declaration.values import Values
        from devkit.deploy.errors import DeploymentError
        from spark_utils.errors import SparkUtilsError
        from spark_utils.redaction import redact

        arguments.values = Values()
        try:
            return verb(arguments)
        except SparkUtilsError as error:
            for name in ("problem", "origin", "remedy"):
                setattr(error, name, redact(getattr(error, name) or "", arguments.values.revealed))
            raise
        except Exception as error:
            from databricks.sdk.core import DatabricksError

            if not isinstance(error, DatabricksError | OSError):
                raise
            what = f"{'the workspace' if isinstance(error, DatabricksError) else 'this machine'} refused a call"
            text = redact(f"{type(error).__name__}: {error}", arguments.values.revealed)
            raise DeploymentError(f"{what}: {text}") from None

    return run


def _plan(arguments: argparse.Namespace) -> int:
    from devkit.deploy.errors import DeploymentError
    from devkit.deploy.plan.approving import as_json
    from devkit.deploy.plan.printing import render
    from devkit.deploy.workspace.export import read_export

    if arguments.offline != (arguments.export is not None):
        raise DeploymentError("--offline and --export FILE must be given together")
    state = read_export(arguments.export) if arguments.offline else None
    plan = _Session(arguments).plan(state)
    print(render(plan))
    if arguments.out:
        arguments.out.write_text(json.dumps(as_json(plan), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def apply_declaration(arguments: argparse.Namespace) -> int:
    """Plan, print and apply what the folder declares for the environment."""
    from devkit.deploy.applying import apply
    from devkit.deploy.plan.approving import check_expected
    from devkit.deploy.plan.printing import render, summary

    session = _Session(arguments)
    plan = session.plan()
    print(render(plan))
    if arguments.expect:
        check_expected(plan, arguments.expect)
    count = apply(plan, session.context, print)
    print(f"{count} changed" if count else summary(plan))
    return 0


def _prune(arguments: argparse.Namespace) -> int:
    from devkit.deploy.plan.pruning import prunable

    session = _Session(arguments)
    return _delete(session, prunable(session.plan()), arguments)


def _destroy(arguments: argparse.Namespace) -> int:
    from devkit.deploy.plan.matching import copies_of
    from devkit.deploy.plan.printing import render_copies
    from devkit.deploy.plan.pruning import owned
    from devkit.deploy.resources import record

    session = _Session(arguments)
    state = record(session.client, session.declaration)
    for line in render_copies(copies_of(session.declaration, state)[0]):
        print(line, file=sys.stderr)
    return _delete(session, owned(session.declaration, state), arguments)


def _delete(session: _Session, listed: list[Actual], arguments: argparse.Namespace) -> int:
    from devkit.deploy.applying import delete_all
    from devkit.deploy.plan.model import Action
    from devkit.deploy.plan.pruning import check_maximum

    if not listed:
        print("nothing to delete")
        return 0
    print(f"{len(listed)} to delete in {session.declaration.environment} on {session.client.config.host}:")
    for found in listed:
        print(f"- {Action('delete', None, found).address} {found.name!r} ({found.id})")
    check_maximum(listed, arguments.max)
    if not arguments.yes:
        print("nothing was deleted; --yes deletes them", file=sys.stderr)
        return 1
    print(f"{delete_all(listed, session.context, arguments.max, print)} deleted")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from devkit.deploy.workspace.export import write_export

    session = _Session(arguments)
    state = write_export(session.client, arguments.file, session.declaration)
    print(f"{arguments.file}: {len(state.items)} resources of {state.host}")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    from databricks.sdk.clock import RealClock

    from devkit.deploy.errors import DeploymentError
    from devkit.deploy.workspace.runs import output_of, start_run, wait_for_run

    wrong = [each for each in arguments.parameter if not each.partition("=")[0] or "=" not in each]
    if wrong:
        raise DeploymentError(f"--parameter {wrong[0]!r} is not NAME=VALUE", remedy="Write --parameter day=1.")
    session = _Session(arguments)
    parameters = dict(each.split("=", 1) for each in arguments.parameter)
    run_id = start_run(session.client, _job_id(session, arguments.job), parameters)
    print(f"run {run_id}")
    if arguments.no_wait:
        return 0
    limits = {"interval": arguments.interval, "limit": arguments.limit}
    try:
        wait_for_run(session.client, run_id, RealClock(), **limits)
    finally:
        print(output_of(session.client, run_id))
    print(f"run {run_id}: SUCCESS")
    return 0


def _wait(arguments: argparse.Namespace) -> int:
    from databricks.sdk.clock import RealClock

    from devkit.deploy.workspace import runs

    session, clock = _Session(arguments), RealClock()
    limits = {"interval": arguments.interval, "limit": arguments.limit}
    if arguments.run_id:
        print(runs.life_cycle(runs.wait_for_run(session.client, arguments.run_id, clock, **limits)))
    elif arguments.cluster:
        print(runs.wait_for_cluster(session.client, arguments.cluster, clock, **limits))
    elif arguments.pipeline:
        print(runs.wait_for_update(session.client, arguments.pipeline, clock, **limits))
    else:
        desired = runs.declared_stream(session.declaration, arguments.stream)
        run_id = runs.active_run(session.client, runs.find_job(session.client, desired.name))
        print(f"healthy: batch {runs.wait_until_healthy(session.client, clock, desired, run_id)}")
    return 0


def _job_id(session: _Session, job: str) -> int:
    from devkit.deploy.workspace.runs import find_job

    named = {each.key: each.name for each in session.declaration.resources if each.kind == "jobs"}
    return find_job(session.client, named.get(job, job))


def _bundle(arguments: argparse.Namespace) -> int:
    from devkit.deploy.bundle import write_bundle

    left_out = write_bundle(arguments.folder, arguments.out, arguments.base)
    print(f"{arguments.out}: written")
    for line in left_out:
        print(f"  left out: {line}", file=sys.stderr)
    return 0
