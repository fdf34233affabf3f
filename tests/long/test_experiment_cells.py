"""The experiment and the job run cell by cell, in a real kernel, as in an editor; the outputs are looked at."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from devkit.hub.generator import Shares, generate
from devkit.hub.recording import write_events
from tests.documentation.cells import cells
from tests.project import ROOT

SENT = 200
# The kernel's client leaves sockets and its event loop to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory whose configuration replays a small sample."""
    (tmp_path / "configuration").mkdir()
    (tmp_path / "sample").mkdir()
    shares = Shares(malformed=0.1)
    write_events(generate(SENT, shares=shares), tmp_path / "sample" / "telemetry.recorded.jsonl", partitions=2)
    settings = {
        "source": "files",
        "source-path": "sample",
        "schema": str(ROOT / "configuration" / "schemas" / "telemetry.json"),
        "output-path": "data/telemetry",
        "trigger": "available-now",
    }
    text = "".join(f"{name} = {value}\n" for name, value in settings.items())
    (tmp_path / "configuration" / "run_args_streaming.conf").write_text(text, encoding="utf-8")
    return tmp_path


def run_cells(path: Path, folder: Path) -> dict[str, str]:
    """Run each cell in one kernel; return the text and HTML that each showed, by title."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.code) for cell in cells(path)])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STREAMING_")}
    client = NotebookClient(notebook, kernel_name="python3", timeout=240, resources={"metadata": {"path": folder}})
    client.execute(env=environment)
    return {
        cell.title: "\n".join(_shown(output) for output in executed.get("outputs", []))
        for cell, executed in zip(cells(path), notebook.cells, strict=True)
    }


def _shown(output: dict) -> str:
    data = output.get("data", {})
    return output.get("text", "") + data.get("text/plain", "") + data.get("text/html", "")


def shown_by(outputs: dict[str, str], title: str) -> str:
    return next(text for name, text in outputs.items() if name.startswith(title))


def test_the_experiment_runs_cell_by_cell_and_shows_tables(folder: Path) -> None:
    outputs = run_cells(ROOT / "notebooks" / "experiment.py", folder)

    for title in ("Events as they are", "Parsed", "Rejected", "Reasons", "Flattened", "A transformation to try"):
        assert "<table" in shown_by(outputs, title), title
    assert "delay_seconds" in shown_by(outputs, "A transformation to try")
    assert "p99" in shown_by(outputs, "The same steps")
    assert f"{SENT} events" in shown_by(outputs, "Live")
    assert "rejected" in shown_by(outputs, "Live")


def test_the_job_runs_cell_by_cell_and_writes_both_tables(folder: Path) -> None:
    run_cells(ROOT / "src" / "streaming_job.py", folder)

    assert (folder / "data" / "telemetry" / "events" / "_delta_log").is_dir()
    assert (folder / "data" / "telemetry" / "rejected" / "_delta_log").is_dir()
