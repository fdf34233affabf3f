"""Fifty schedules of faults; `tests/devkit/deploy/test_faults.py` takes the first ones at every change."""

from __future__ import annotations

from typing import Any

import pytest

from local_workspace import Workspace
from tests.devkit.deploy.kit import Project
from tests.devkit.deploy.test_faults import SAMPLE, everything, expected, shared, withstand  # noqa: F401 - fixtures

SCHEDULES = 50


@pytest.mark.parametrize("seed", range(SAMPLE, SCHEDULES))
def test_under_a_schedule_of_faults_the_workspace_ends_as_without_and_no_run_starts_twice(
    shared: Workspace,  # noqa: F811 - the fixture
    everything: Project,  # noqa: F811
    expected: dict[str, Any],  # noqa: F811
    seed: int,
) -> None:
    withstand(shared, everything, expected, seed)
