"""A plan of 500 deployed resources, against a bare listing of the same resources through the SDK.

The workspace is the local one, in a process of its own, so that its work does not count as ours. Both are measured in
turn in the same run, and medians are compared. The plan loads the declaration, lists, compares and prints.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from databricks.sdk import WorkspaceClient
from databricks.sdk.clock import RealClock
from databricks.sdk.core import Config

from devkit.deploy.applying import apply
from devkit.deploy.declaration.loading import load
from devkit.deploy.declaration.values import Values
from devkit.deploy.plan.model import Plan
from devkit.deploy.plan.planning import plan
from devkit.deploy.plan.printing import render
from devkit.deploy.resources import record
from devkit.deploy.resources.base import Context
from devkit.deploy.resources.secrets import secret_digests
from devkit.deploy.workspace.client import connect

# What 500 resources are made of, by kind.
SHARES = {"jobs": 0.4, "clusters": 0.1, "instance_pools": 0.1, "cluster_policies": 0.1, "warehouses": 0.1, "files": 0.2}
SERVE = """
import sys, time
from local_workspace import Workspace
with Workspace(token=sys.argv[1]) as w:
    print(w.host, flush=True)
    sys.stdin.read()
"""


def declare(folder: Path, count: int) -> None:
    """Write a declaration of so many resources."""
    (folder / "environments").mkdir(parents=True)
    (folder / "environments" / "dev.yml").write_text("project: bench\ninclude: [../all.yml]\n")
    lines = ["resources:"]
    for kind, share in SHARES.items():
        lines.append(f"  {kind}:")
        for number in range(int(count * share)):
            lines += [f"    {kind}{number}:", *body(folder, kind, number)]
    (folder / "all.yml").write_text("\n".join(lines) + "\n")


def body(folder: Path, kind: str, number: int) -> list[str]:
    """Return the body of one resource as lines."""
    name = f"{kind}-{number}"
    if kind == "jobs":
        task = (
            f"{{task_key: a, existing_cluster_id: clusters-{number % 5}, notebook_task: {{notebook_path: /Shared/a}}}}"
        )
        return [f"      name: {name}", "      max_concurrent_runs: 2", f"      tasks: [{task}]"]
    if kind == "clusters":
        sizes = f"      instance_pool_id: instance_pools-{number}", "      num_workers: 1"
        return [f"      cluster_name: {name}", "      spark_version: 17.3.x-scala2.13", *sizes]
    if kind == "instance_pools":
        return [f"      instance_pool_name: {name}", "      node_type_id: Standard_DS3_v2"]
    if kind == "cluster_policies":
        return [f"      name: {name}", "      definition: {num_workers: {type: range, maxValue: 4}}"]
    if kind == "warehouses":
        return [f"      name: {name}", "      cluster_size: Small", "      max_num_clusters: 1"]
    (folder / f"{name}.sh").write_text(f"echo {number}\n")
    return [f"      file: {name}.sh"]


def full_plan(client: WorkspaceClient, folder: Path) -> Plan:
    """Load, list, compare and print, as `devkit deploy plan` does."""
    values = Values(environ={}, folder=folder)
    declaration = load("dev", folder)
    findings = record(client, declaration)
    planned = plan(declaration, findings, secret_digests=secret_digests(declaration, findings, values))
    render(planned)
    return planned


def bare_listing(client: WorkspaceClient, folder: Path) -> int:  # noqa: ARG001  # one signature for both ways
    """List the same resources, and read the same files, with nothing but the SDK."""
    listed = [
        *client.jobs.list(expand_tasks=True),
        *client.clusters.list(),
        *client.instance_pools.list(),
        *client.cluster_policies.list(),
        *client.warehouses.list(),
    ]
    files = [each for each in client.workspace.list("/Shared/bench/dev", recursive=True) if each.path]
    return len(listed) + sum(1 for each in files if client.workspace.download(str(each.path)).read() is not None)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--resources", type=int, default=500)
    options.add_argument("--rounds", type=int, default=3)
    arguments = options.parse_args()
    token = "dapi-local-benchmark"
    with tempfile.TemporaryDirectory(prefix="plan-") as temporary:
        folder = Path(temporary)
        declare(folder, arguments.resources)
        server = subprocess.Popen(
            [sys.executable, "-c", SERVE, token], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        assert server.stdin is not None
        try:
            config = Config(host=server.stdout.readline().strip(), token=token, auth_type="pat")
            client = connect(config)
            first = full_plan(client, folder)
            apply(first, Context(client, RealClock(), first.declaration, Values(environ=os.environ)))
            seconds: dict[str, list[float]] = {"full_plan": [], "bare_listing": []}
            for number in range(arguments.rounds + 1):  # the first round warms up and is not counted
                for way in (bare_listing, full_plan):
                    started = time.perf_counter()
                    result = way(client, folder)
                    if number:
                        seconds[way.__name__].append(time.perf_counter() - started)
                    assert not isinstance(result, Plan) or not result.changes
            own, floor = (statistics.median(seconds[way]) for way in ("full_plan", "bare_listing"))
            print(
                f"plan of {len(first.actions)} resources, nothing to do: {own:.2f} s, {own / floor:.2f} times a bare "
                f"listing of the same ({floor:.2f} s; goal below 5 s)"
            )
        finally:
            server.stdin.close()
            server.wait(timeout=20)


if __name__ == "__main__":
    main()
