"""`devkit watch`: its arguments, the warm Spark it attaches to, and the files it looks at."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from devkit.project.job_file import is_own_file
from spark_utils.configuration.config_files import DEFAULT_CONFIG_FILE, find_config_file
from spark_utils.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from devkit.project.watch import Watcher

QUIET_MILLISECONDS = 50  # after the last of several changes, which an editor makes in one save


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; what stands behind `--` are arguments of the job."""
    parser.add_argument("--job", type=Path, default=Path("src/streaming_job.py"), help="default: %(default)s")
    parser.add_argument("--recording", metavar="FILE", help="take the sample from files, not from the job's source")
    parser.add_argument("--events", type=int, default=1000, metavar="N", help="size of the sample (%(default)s)")
    parser.add_argument("--rows", type=int, default=5, metavar="N", help="rows to show (%(default)s)")
    parser.add_argument("--wide", action="store_true", help="show every column in full, wider than the terminal")
    parser.add_argument("--vertical", action="store_true", help="show each row as a list of its columns")
    parser.add_argument("--once", action="store_true", help="run once and end, with status 1 after an error")
    parser.add_argument("arguments", nargs="*", metavar="-- ARGUMENTS", help="the job's own arguments, after --")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the job on a sample now and whenever a file of it is saved, until Ctrl-C.

    Raises:
        ConfigurationError: There is no such job file.
        RuntimeSetupError: The warm Spark does not start.
    """
    if not arguments.job.is_file():
        raise ConfigurationError(f"there is no file {str(arguments.job)!r}", origin="--job")
    job = arguments.job.resolve()
    own = [*arguments.arguments, "--preview=0"]
    own += ["--source=files", f"--source-path={arguments.recording}"] if arguments.recording else []
    _attach()
    from rich.console import Console

    from devkit.project.watch import Watcher
    from spark_utils.session import get_session
    from spark_utils.streaming_utils.termination import signals_to

    get_session("devkit-watch")  # a module may ask for one while it is imported, as `udf` does on Spark Connect
    console = Console(highlight=False)
    shape = {"wide": arguments.wide, "vertical": arguments.vertical}
    watcher = Watcher(job, own, console, events=arguments.events, rows=arguments.rows, shape=shape)
    if arguments.once:
        return 0 if watcher.run() else 1
    ending = _Ending(watcher, console)
    with signals_to(ending):
        ending.run()
        _follow(ending, job, _configuration(arguments.arguments), console)
    console.print()
    return 0


class _Ending:
    """Takes Ctrl-C: a run is let to its end, unless it is pressed again.

    An interrupted call to Spark Connect can leave the lock of its channel taken, and then the process never exits.
    """

    def __init__(self, watcher: Watcher, console: Console) -> None:
        self.asked = threading.Event()
        self.watcher, self._console, self._is_busy = watcher, console, False

    def run(self, saved: float | None = None) -> None:
        """Run the job on the sample."""
        self._is_busy = True
        self.watcher.run(saved)
        self._is_busy = False

    def __call__(self, *_: object) -> None:
        if self.asked.is_set():
            raise KeyboardInterrupt
        self.asked.set()
        if self._is_busy:
            self._console.print("ending after this run; press Ctrl-C again to end now", style="dim")


def _attach() -> None:
    """Let pyspark attach to the Spark that `SPARK_REMOTE` names, else to the warm one, which is started."""
    from devkit.spark.connect_server import ConnectServer
    from devkit.spark.server_state import REMOTE_VARIABLE

    if REMOTE_VARIABLE not in os.environ:
        server = ConnectServer.shared()
        if server.state() is None:
            print("starting the warm Spark, which stays until `devkit spark down`", file=sys.stderr)
        os.environ.update(server.start().variables)


def _configuration(arguments: Sequence[str]) -> Path:
    """Return the job's configuration file: that of `--config`, of the environment, or the project's."""
    from spark_utils.configuration.arguments import build_parser

    named = build_parser().parse_known_args([*arguments])[0].config
    found = Path(named).resolve() if named else find_config_file(Path.cwd())
    return found or Path.cwd() / DEFAULT_CONFIG_FILE


def _follow(ending: _Ending, job: Path, configuration: Path, console: Console) -> None:
    from watchfiles import watch

    watcher = ending.watcher
    while not ending.asked.is_set():
        files = {configuration, *([watcher.schema] if watcher.schema else [])}
        folders = {job.parent, *(file.parent for file in files if file.parent.is_dir())}
        console.print(f"watching {', '.join(sorted(os.path.relpath(folder) for folder in folders))}", style="dim")
        concerns = _concerns(job.parent, files)
        for changes in watch(*folders, watch_filter=concerns, step=QUIET_MILLISECONDS, stop_event=ending.asked):
            paths = sorted({path for _, path in changes})
            console.rule(", ".join(os.path.relpath(path) for path in paths), align="left", style="dim")
            ending.run(max((Path(path).stat().st_mtime for path in paths if Path(path).exists()), default=None))
            if watcher.schema and watcher.schema not in files:
                break  # the configuration names another schema: look at that one


def _concerns(source: Path, files: set[Path]) -> Callable[[object, str], bool]:
    def concerns(_change: object, text: str) -> bool:
        path = Path(text)
        return path in files or (path.suffix == ".py" and is_own_file(path, source))

    return concerns
