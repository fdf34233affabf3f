"""`devkit workspace up` as a process: what it prints, what it keeps, how it stops."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from databricks.sdk import WorkspaceClient

from devkit import cli
from devkit.deploy.workspace.export import read_export
from local_workspace import Workspace
from tests.patience import PATIENCE


class Up:
    """A served workspace in a process of its own, with what it printed first."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "devkit.cli", "workspace", "up", "--port", "0", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.printed = ""
        while "Ctrl-C" not in self.printed:
            line = self.process.stdout.readline()
            assert line, self.printed
            self.printed += line
        found = re.search(r"^export DATABRICKS_HOST=(\S+) DATABRICKS_TOKEN=(\S+)$", self.printed, re.M)
        assert found is not None, self.printed
        self.host, self.token = found.groups()

    def client(self) -> WorkspaceClient:
        return WorkspaceClient(host=self.host, token=self.token, auth_type="pat")

    def stop(self, number: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, rest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_how_to_use_it_and_stops_with_zero(number: signal.Signals) -> None:
    up = Up()
    assert f"page: {up.host}/#token={up.token}\n" in up.printed
    assert up.client().current_user.me().user_name == "engineer@localhost"
    assert up.stop(number) == (0, "The local workspace has stopped\n")


def test_a_folder_keeps_everything_and_the_token_for_the_next_start(tmp_path: Path) -> None:
    up = Up("--folder", str(tmp_path / "kept"))
    up.client().workspace.mkdirs("/Shared/kept")
    assert up.stop(signal.SIGTERM) == (
        0,
        f"The local workspace has stopped; its state is kept in {tmp_path / 'kept'}\n",
    )
    again = Up("--folder", str(tmp_path / "kept"))
    try:
        assert again.token == up.token
        assert again.client().workspace.get_status("/Shared/kept").path == "/Shared/kept"
        assert (tmp_path / "kept" / "token").stat().st_mode & 0o077 == 0
    finally:
        again.stop(signal.SIGTERM)


def test_a_token_can_be_given() -> None:
    up = Up("--token", "mine")
    try:
        assert up.token == "mine"
    finally:
        up.stop(signal.SIGTERM)


def test_a_port_that_is_taken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        assert cli.main(["workspace", "up", "--port", str(port)]) == 1
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert f"cannot bind port {port}: it is used by another program" in capsys.readouterr().err


def test_an_export_records_the_workspace_that_the_environment_names(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", workspace.host)
    monkeypatch.setenv("DATABRICKS_TOKEN", workspace.token)
    workspace.client().jobs.create(name="recorded")
    file = tmp_path / "export.json"
    assert cli.main(["workspace", "export", str(file)]) == 0
    findings = read_export(file)
    assert ("jobs", "recorded") in [(found.kind, found.name) for found in findings.items]
    assert capsys.readouterr().out == f"{file}: {len(findings.items)} resources of {workspace.host}\n"
    assert workspace.token not in file.read_text()


def test_an_export_of_no_workspace_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DATABRICKS_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cli.main(["workspace", "export", str(tmp_path / "export.json")]) == 1
    assert "devkit: " in capsys.readouterr().err
    assert not (tmp_path / "export.json").exists()
