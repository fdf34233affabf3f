"""The development container: checked as far as is possible without Docker."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import PurePosixPath
from typing import Any

import pytest

from devkit import cache
from devkit.spark.runtime_command import spark_defaults
from devkit.spark.runtimes import default_profile
from tests.project import ROOT

FOLDER = ROOT / ".devcontainer"
COMMAND_LINE = "@devcontainers/cli@0.89.0"


@pytest.fixture(scope="module")
def configuration() -> dict[str, Any]:
    """The configuration as the official command line reads it."""
    if shutil.which("npx") is None:
        pytest.skip("npx is not installed")
    done = subprocess.run(
        ["npx", "--yes", COMMAND_LINE, "read-configuration", "--docker-path", "/bin/true", "--workspace-folder", "."],
        cwd=ROOT,
        env={**os.environ, "npm_config_cache": str(cache.home() / "npm")},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    configuration: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])["configuration"]
    return configuration


def test_the_official_command_line_reads_ports_extensions_and_set_up(configuration: dict[str, Any]) -> None:
    assert configuration["forwardPorts"] == [4040, 4041, 4042, 4043, 4044]
    extensions = configuration["customizations"]["vscode"]["extensions"]
    assert {"ms-python.python", "ms-python.debugpy", "ms-toolsai.jupyter"} <= set(extensions)
    assert configuration["postCreateCommand"].endswith("make setup")


def test_the_container_file_that_is_named_exists_and_only_calls_the_shared_set_up(
    configuration: dict[str, Any],
) -> None:
    dockerfile = FOLDER / configuration["build"]["dockerfile"]
    commands = [line for line in dockerfile.read_text().splitlines() if line.startswith("RUN")]
    assert commands == ["RUN bash /tmp/setup.sh && rm -rf /var/lib/apt/lists/*"]


def test_the_committed_spark_defaults_are_those_of_the_default_profile(configuration: dict[str, Any]) -> None:
    home = PurePosixPath(configuration["containerEnv"]["SPARK_DEVKIT_HOME"])
    assert (FOLDER / "spark-defaults.conf").read_text() == spark_defaults(default_profile(), home)
