"""The warm server: it takes those who know its token, on loopback, survives its parent and ends on request."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from devkit.cli import main
from devkit.processes import free_port
from devkit.spark.connect_server import ConnectServer
from devkit.spark.server_state import ui_address
from spark_utils.errors import RuntimeSetupError
from tests.patience import wait_for

PROGRAM = """
from spark_utils.session import get_session
spark = get_session()
print(type(spark).__module__, spark.range(3).count())
"""


def run_program(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **variables, "GRPC_VERBOSITY": "NONE"},
        capture_output=True,
        text=True,
        timeout=200,  # pyspark by itself would ask a server that has gone for ten minutes
        check=False,
    )


def test_a_connect_session_and_a_classic_one_work_side_by_side(each_spark: SparkSession, tmp_path: Path) -> None:
    each_spark.range(3).select((F.col("id") * 2).alias("twice")).write.format("delta").save(str(tmp_path / "table"))
    assert each_spark.read.format("delta").load(str(tmp_path / "table")).agg(F.sum("twice")).collect() == [(6,)]
    each_spark.createDataFrame([(1,)], "a int")  # on classic Spark the last such frame's session is the active one
    assert SparkSession.getActiveSession() is each_spark


def test_functions_of_a_test_module_run_in_the_servers_workers(connect: SparkSession) -> None:
    assert connect.range(2).select(F.udf(_of_this_module, useArrow=False)("id")).collect() == [("0!",), ("1!",)]


def _of_this_module(number: int) -> str:
    return f"{number}!"


def test_another_program_attaches_by_the_servers_variables(connect_server: ConnectServer) -> None:
    state = connect_server.state()
    assert state is not None
    done = run_program(state.variables)
    assert done.stdout.split() == ["pyspark.sql.connect.session", "3"], done.stderr


@pytest.mark.parametrize("token", ["", "another"])
def test_who_does_not_know_the_token_is_refused(connect_server: ConnectServer, token: str) -> None:
    state = connect_server.state()
    assert state is not None
    done = run_program({"SPARK_REMOTE": state.remote} | ({"SPARK_CONNECT_AUTHENTICATE_TOKEN": token} if token else {}))
    assert done.returncode != 0
    assert "UNAUTHENTICATED" in done.stderr or "token" in done.stderr


def test_a_program_whose_server_is_not_there_says_so_at_once() -> None:
    port = free_port()
    done = run_program({"SPARK_REMOTE": f"sc://localhost:{port}/;token=unseen"})
    assert done.returncode == 1
    assert f"no Spark Connect server answers at localhost:{port} (from SPARK_REMOTE)" in done.stderr
    assert "unseen" not in done.stderr


def test_the_server_listens_on_loopback_only_and_shows_its_token_to_nobody(connect_server: ConnectServer) -> None:
    state = connect_server.state()
    assert state is not None
    process = psutil.Process(state.pid)
    listening = [c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert listening
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    assert state.token not in " ".join(process.cmdline()) + repr(state)
    assert (connect_server.folder / "state.json").stat().st_mode & 0o077 == 0
    written = (connect_server.folder / "spark-defaults.conf").read_text()
    assert state.token not in written


def _ignore(_batch: DataFrame, _batch_id: int) -> None: ...


def test_a_streams_worker_shows_the_token_to_no_log_and_no_command_line(
    connect_server: ConnectServer, connect: SparkSession
) -> None:
    state = connect_server.state()
    assert state is not None
    query = connect.readStream.format("rate").load().writeStream.foreachBatch(_ignore).start()
    try:
        wait_for(lambda: query.lastProgress)
        commands = [" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
    finally:
        query.stop()
    said = wait_for(connect_server.output.read_text, lambda text: "with url sc://" in text)
    assert re.search(rf"with url sc://localhost:{state.port}/;\S*token=\*\*\* and", said)
    assert [line for line in commands if state.token in line] == []
    files = [path for path in connect_server.folder.rglob("*") if path.is_file()]
    assert [path.name for path in files if state.token in path.read_text(errors="replace")] == ["state.json"]


@pytest.fixture(scope="module")
def warm_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache with the jars of the shared one, so that the server of the verbs is this module's own."""
    from devkit import cache

    home = tmp_path_factory.mktemp("home")
    for folder in ("jars", "compiled", "archives"):
        (home / folder).symlink_to(cache.home() / folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_DEVKIT_HOME", str(home))
        yield home
        ConnectServer.shared().kill()


def _cell(local: str) -> list[str]:
    """Run a cell that asks for a session, and return what it shows."""
    program = PROGRAM.replace("get_session()", f"get_session(local={local!r})")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def _test_run(folder: Path) -> int:
    """Run the tests of a user who gives `--spark warm`, and return the exit status."""
    test = (
        "def test_it(spark):\n    assert 'connect' in type(spark).__module__\n    assert spark.range(3).count() == 3\n"
    )
    (folder / "test_of_a_user.py").write_text(test)
    plugins = ["-p", "spark_utils.testing", "-p", "devkit.testing", "--spark", "warm"]
    command = [sys.executable, "-m", "pytest", *plugins, "test_of_a_user.py"]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode


@pytest.mark.slow
def test_the_verbs_start_show_and_stop_it(warm_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spark", "status"]) == 3
    started = subprocess.run([sys.executable, "-m", "devkit.cli", "spark", "up"], check=True, capture_output=True)
    assert b"is ready after" in started.stdout, "and its parent has ended"
    assert main(["spark", "status"]) == 0
    shown = capsys.readouterr().out
    assert "sc://localhost:" in shown
    assert "Spark UI: http://127.0.0.1:" in shown
    assert main(["spark", "up"]) == 0
    assert "is running already" in capsys.readouterr().out
    state = ConnectServer.shared().state()
    assert state is not None
    assert state.token not in capsys.readouterr().out
    session = ConnectServer.shared().session()
    assert ui_address(session) == state.ui
    session.stop()
    with ConnectServer.shared().output.open("a") as log:
        log.write("a user's function prints password=hunter2 and more\n")
    assert main(["spark", "logs", "--lines", "1"]) == 0
    assert "password=*** and more" in capsys.readouterr().out
    with urlopen(f"{state.ui}/StreamingQuery/") as page:
        assert page.status == 200
    assert _cell("warm") == ["pyspark.sql.connect.session", "3"]
    assert _test_run(tmp_path) == 0
    assert main(["spark", "down"]) == 0
    assert main(["spark", "status"]) == 3
    assert not psutil.pid_exists(state.pid) or psutil.Process(state.pid).status() == psutil.STATUS_ZOMBIE
    with pytest.raises(RuntimeSetupError, match="devkit spark up"):
        ConnectServer.shared().session()


def test_a_server_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(RuntimeSetupError, match="JAVA_HOME"):
        ConnectServer(tmp_path / "server").start()
