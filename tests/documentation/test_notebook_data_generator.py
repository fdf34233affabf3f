"""The notebook that sends events runs as it is, against a local hub, and is committed without outputs."""

import asyncio
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from devkit import cache
from devkit.cache import write_private
from devkit.testing import EventHub

NOTEBOOK = Path("notebooks/data-generator.ipynb")


@pytest.fixture
def hub_of_the_notebook(event_hub: EventHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EventHub:
    """Put a test's hub where the notebook's reference is looked up."""
    monkeypatch.setenv(cache.HOME_VARIABLE, str(tmp_path))
    write_private(tmp_path / "secrets" / "local-hub" / "connection-string", event_hub.connection_string)
    return event_hub


def test_it_sends_what_it_says(hub_of_the_notebook: EventHub, recwarn: pytest.WarningsRecorder) -> None:
    notebook = read_notebook()
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": "."}})
    asyncio.run(client.async_execute())
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    assert f"sent 10,000 events to {hub_of_the_notebook.name}" in printed
    received = hub_of_the_notebook.receive()
    assert len(received) == 10_000
    families = {dict(event.headers)["kind"].partition(b":")[0] for event in received}
    assert families == {b"clean", b"malformed", b"drifting", b"lossy", b"duplicate-keys"}


def test_it_is_committed_without_outputs() -> None:
    notebook = read_notebook()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


def read_notebook() -> nbformat.NotebookNode:
    notebook: nbformat.NotebookNode = nbformat.read(NOTEBOOK, as_version=4)
    return notebook
