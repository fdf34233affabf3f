"""Python files really run: with their parameters, in the order of the graph, and every failure is one."""

from __future__ import annotations

from databricks.sdk import WorkspaceClient

from tests.local_workspace.run_kit import finished, logs, python, start


def test_a_file_runs_with_its_parameters_and_its_output_is_kept(client: WorkspaceClient) -> None:
    run = finished(client, start(client, python(client, "a", "import sys; print('got', sys.argv[1:])", "x", "y z")))
    assert run.state.result_state.value == "SUCCESS"
    assert run.status.termination_details.code.value == "SUCCESS"
    assert logs(client, run, "a") == "got ['x', 'y z']\n"
