"""Fixtures for all tests: the plug-ins that we ship to our users, and the wheel, built once."""

from __future__ import annotations

import os
import runpy
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from tests.patience import PATIENCE
from tests.project import ROOT, build_wheel, copy_project

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest_plugins = [
    "spark_utils.testing",
    "devkit.testing",
    "devkit.storage.testing_azurite",
    "local_pipelines.testing",
    "local_workspace.testing",
]


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of one run share; each has one of its own below it."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def built_wheel(shared_folder: Path) -> Path:
    """The job's wheel, built as it is shipped, once for all tests and workers."""
    return _build_once(shared_folder / "wheel", ".")


@pytest.fixture(scope="session")
def kit_wheel(shared_folder: Path) -> Path:
    """The kit's, likewise."""
    return _build_once(shared_folder / "kit-wheel", "kit")


def _build_once(folder: Path, source: str) -> Path:
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            return build_wheel(copy_project(folder.with_name(f"{folder.name}-project")), source, folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The Chromium of this machine, without a window."""
    from playwright.sync_api import expect, sync_playwright

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no browser to show the page in: install Chromium (Debian: apt-get install chromium)")
    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


def pytest_configure(config: pytest.Config) -> None:
    """Take Ctrl-C, and compile the reader in Java where its source is newer than what `make setup` compiled."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, with all it starts
    folder = ROOT / "src/spark_utils/parsing/jvm"
    newest = max(source.stat().st_mtime for source in folder.glob("java/*.java"))
    if not hasattr(config, "workerinput") and not any(jar.stat().st_mtime >= newest for jar in folder.glob("*.jar")):
        runpy.run_path(str(ROOT / "setup.py"))["build_reader"](folder)
