"""``devkit workspace``: the local workspace from the command line."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from devkit.processes import refuse_taken
from spark_utils.errors import ConfigurationError

DEFAULT_PORT: Final = 8090


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``up``, ``export`` and ``supported``."""
    verbs = parser.add_subparsers(dest="workspace_verb", required=True, metavar="VERB")

    def verb(name: str, run: Callable[[argparse.Namespace], int], summary: str) -> argparse.ArgumentParser:
        child = verbs.add_parser(name, help=summary, description=summary)
        child.set_defaults(run=run)
        return child

    up = verb("up", run_up, "serve a local workspace until Ctrl-C")
    up.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="port to listen on; 0 takes a free one (default: %(default)s)"
    )
    up.add_argument(
        "--folder", type=Path, help="folder that keeps everything for the next start (default: nothing is kept)"
    )
    up.add_argument(
        "--processes",
        type=int,
        default=2,
        metavar="N",
        help="number of tasks that run at the same time (default: %(default)s)",
    )
    up.add_argument("--token", help="the access token (default: the folder's own, or a random one)")
    export = verb("export", run_export, "record a workspace, local or real, for `devkit deploy plan --offline`")
    export.add_argument("file", type=Path, metavar="FILE")
    export.add_argument(
        "--profile", metavar="NAME", help="profile of ~/.databrickscfg (default: DATABRICKS_HOST and so on)"
    )
    supported = verb(
        "supported", run_supported, "list every route that it answers, and how each is known to differ from Databricks"
    )
    supported.add_argument("--write", type=Path, metavar="FILE", help="write the list there instead of printing it")
    supported.add_argument("--check", type=Path, metavar="FILE", help="fail if that file is not up to date")


def run_up(arguments: argparse.Namespace) -> int:
    """Serve until a signal says stop.

    Raises:
        RuntimeSetupError: The port is taken.
    """
    from local_workspace import Options, Workspace

    refuse_taken(arguments.port)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    token = arguments.token or (_kept_token(arguments.folder) if arguments.folder else None)
    options = Options(processes=arguments.processes)
    with Workspace(arguments.folder, port=arguments.port, token=token, options=options) as workspace:
        print(_how_to_use(workspace.host, workspace.token), flush=True)
        stop.wait()
    kept = f"; its state is kept in {arguments.folder}" if arguments.folder else ""
    print(f"The local workspace has stopped{kept}")
    return 0


def run_export(arguments: argparse.Namespace) -> int:
    """Record the workspace that the environment or the profile names.

    Raises:
        DeploymentError: If none is named, or it cannot be opened.
    """
    from devkit.deploy.workspace.export import write_export
    from devkit.deploy.workspace.sign_in import sign_in

    findings = write_export(sign_in({"profile": arguments.profile}), arguments.file)
    print(f"{arguments.file}: {len(findings.items)} resources of {findings.host}")
    return 0


def run_supported(arguments: argparse.Namespace) -> int:
    """Print, write or check the list of routes.

    Raises:
        ConfigurationError: With `--check`, if the file is not up to date.
    """
    from local_workspace.server.supported import markdown
    from local_workspace.services.registry import SERVICES

    text = markdown(SERVICES)
    if arguments.check:
        file: Path = arguments.check
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            remedy = f"Run `devkit workspace supported --write {file}`."
            raise ConfigurationError(f"{file} is not up to date", remedy=remedy)
    elif arguments.write:
        arguments.write.write_text(text, encoding="utf-8")
        print(f"wrote {arguments.write}")
    else:
        print(text, end="")
    return 0


def _how_to_use(host: str, token: str) -> str:
    return (
        f"The local workspace is running. To use it with the official SDK and tools:\n\n"
        f"export DATABRICKS_HOST={host} DATABRICKS_TOKEN={token}\n\n"
        f"page: {host}/#token={token}\n"
        "Press Ctrl-C to stop it."
    )


def _kept_token(folder: Path) -> str:
    """Return the token that a kept workspace was opened with before, so that its address stays good."""
    import secrets

    from devkit import cache

    file = folder / "token"
    if not file.is_file():
        cache.write_private(file, f"dapi-local-{secrets.token_hex(16)}\n")
    return file.read_text(encoding="utf-8").strip()
