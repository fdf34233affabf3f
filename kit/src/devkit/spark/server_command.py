"""``devkit spark``: the warm local Spark server from the command line."""

from __future__ import annotations

import argparse
import time
from collections import deque
from collections.abc import Callable

from devkit.spark.connect_server import ConnectServer
from spark_utils.redaction import mask_credentials

NOT_RUNNING = 3  # the exit status of `status`, as service managers have it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``up``, ``down``, ``status`` and ``logs``."""
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, run: Callable[[argparse.Namespace], int], summary: str) -> argparse.ArgumentParser:
        child = verbs.add_parser(name, help=summary, description=summary)
        child.set_defaults(run=run)
        return child

    verb("up", _up, "start the warm server, or find it running")
    verb("down", _down, "stop the warm server")
    verb("status", _status, "show whether it runs, its port and its memory")
    logs = verb("logs", _logs, "show the end of its log")
    logs.add_argument("--lines", type=int, default=40, metavar="N", help="how many lines (default: %(default)s)")


def _up(_arguments: argparse.Namespace) -> int:
    from devkit.spark.warm_up import run_small_stream_in

    server = ConnectServer.shared()
    running = server.state()
    began = time.monotonic()
    state = server.start()
    if running is None:
        run_small_stream_in(server.session())
    found = "is running already" if running else f"is ready after {time.monotonic() - began:.0f} s"
    print(f"warm Spark {state.spark} {found}, on port {state.port} of this machine; Spark UI: {state.ui}")
    print("attach to it: `python src/streaming_job.py --spark warm`, `pytest --spark warm`,")
    print('or any program with pyspark after `eval "$(devkit env --spark warm)"`')
    return 0


def _down(_arguments: argparse.Namespace) -> int:
    server = ConnectServer.shared()
    was_running = server.state() is not None
    server.stop()
    print("warm Spark is stopped" if was_running else "warm Spark was not running")
    return 0


def _status(_arguments: argparse.Namespace) -> int:
    server = ConnectServer.shared()
    state = server.state()
    if state is None:
        print("warm Spark is not running; `devkit spark up` starts it")
        return NOT_RUNNING
    memory = server.memory()
    minutes = (time.time() - state.started) / 60
    print(f"warm Spark {state.spark} is running: {state.remote}, process {state.pid}, for {minutes:.0f} minutes")
    print(f"memory: {memory / 1e6:,.0f} MB" if memory else "memory: unknown")
    print(f"Spark UI: {state.ui}")
    print(f"log: {server.log}")
    return 0


def _logs(arguments: argparse.Namespace) -> int:
    for log in (ConnectServer.shared().output, ConnectServer.shared().log):
        if log.exists():
            with log.open(encoding="utf-8", errors="replace") as lines:
                print(mask_credentials("".join(deque(lines, arguments.lines))), end="")  # of the user's own code
    return 0
