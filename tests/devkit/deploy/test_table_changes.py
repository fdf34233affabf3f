"""Table changes, run by Spark on the local workspace: in order, once, recorded in a Delta table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devkit.deploy.errors import DeclarationError, StepFailed
from devkit.deploy.resources.table_changes import REPEATABLE, split_statements
from local_workspace import Workspace
from tests.devkit.deploy.kit import Deployer, FakeClock, Project
from tests.local_workspace.run_kit import execute

DECLARED = """
resources:
  warehouses:
    main: {name: Main, cluster_size: Small, max_num_clusters: 1}
  table_changes:
    demo: {warehouse: Main, folder: changes, ledger: default.demo_changes}
"""


class PatientClock(FakeClock):
    """Waits for real: Spark needs the time."""

    def sleep(self, seconds: float) -> None:
        import time

        super().sleep(seconds)
        time.sleep(min(seconds, 0.5))


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    with Workspace() as started:
        yield started


@pytest.fixture
def deployer(workspace: Workspace, project: Project) -> Deployer:
    return Deployer(workspace, project, PatientClock(), token=workspace.token)


def rows(deployer: Deployer, statement: str) -> list[list[str]]:
    (warehouse,) = [each for each in deployer.client.warehouses.list() if each.name == "Main"]
    answer = execute(deployer.client, statement, str(warehouse.id))
    assert answer.result is not None
    return list(answer.result.data_array or [])


@pytest.mark.slow
def test_files_run_in_order_once_a_further_one_later_and_an_edited_one_never(
    deployer: Deployer, project: Project
) -> None:
    project.write("changes/001_create.sql", "CREATE TABLE default.demo (id INT, word STRING) USING delta;\n")
    project.write(
        "changes/002_fill.sql",
        "INSERT INTO default.demo VALUES (1, 'a;b');\n-- and; more\nINSERT INTO default.demo VALUES (2, 'c')",
    )
    project.resources(DECLARED)
    deployer.apply()
    assert rows(deployer, "SELECT * FROM default.demo ORDER BY id") == [["1", "a;b"], ["2", "c"]]
    assert deployer.verbs() == {}

    project.write("changes/003_more.sql", "INSERT INTO default.demo VALUES (3, 'd')")
    planned = deployer.apply()
    assert [(each.address, [change.path for change in each.changes]) for each in planned.changes] == [
        ("table_changes.demo", ["files.003_more.sql"])
    ]
    assert rows(deployer, "SELECT count(*) FROM default.demo") == [["3"]]

    project.write("changes/003_more.sql", "INSERT INTO default.demo VALUES (4, 'e')")
    with pytest.raises(DeclarationError, match=r"003_more.sql was edited. It has been run, and runs once"):
        deployer.plan()
    project.write("changes/003_more.sql", "INSERT INTO default.demo VALUES (3, 'd')")

    project.write("changes/004_lost.sql", "INSERT INTO default.demo VALUES (5, 'f')")
    # the plan and the step read the ledger, and the note comes before
    deployer.workspace.faults.add("drop", method="POST", path="/api/2.0/sql/statements", when="after", skip=3)
    with pytest.raises(StepFailed, match=r"whether statement 1 of 004_lost.sql was run is not known"):
        deployer.apply()
    with pytest.raises(StepFailed, match=r"is not known: its answer got lost"):
        deployer.apply()  # and it is not run a second time
    assert rows(deployer, "SELECT count(*) FROM default.demo WHERE id = 5") == [["1"]]


@pytest.mark.parametrize(
    ("statement", "repeatable"),
    [
        ("CREATE TABLE IF NOT EXISTS a (b INT)", True),
        ("create or replace view a AS SELECT 1", True),
        ("DROP TABLE IF EXISTS a", True),
        ("CREATE TABLE a (b INT)", False),
        ("INSERT INTO a VALUES (1)", False),
        ("ALTER TABLE a ADD COLUMN c INT", False),
        ("CREATE TABLE a AS SELECT 'IF NOT EXISTS '", False),
    ],
)
def test_only_a_statement_that_leaves_the_same_behind_is_run_again(statement: str, repeatable: bool) -> None:
    assert bool(REPEATABLE.match(statement)) is repeatable


def test_a_semicolon_in_quotes_or_in_a_comment_ends_no_statement() -> None:
    text = "SELECT ';', \"a;b\", `c;d` -- no; end\n; /* neither; here */ SELECT 2 - 1 / 3;\n;"
    assert split_statements(text) == ["SELECT ';', \"a;b\", `c;d`", "SELECT 2 - 1 / 3"]
