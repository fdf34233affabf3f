"""Whose something is: copies, roots and keys that must never let one deployment delete what another one made."""

from __future__ import annotations

from devkit.deploy.applying import owned, prunable
from devkit.deploy.export import record
from devkit.deploy.printing import render
from tests.deploy.kit import Deployer, Project

VIEWED = "resources:\n  jobs:\n    one: {name: one, permissions: [{group_name: users, level: CAN_VIEW}]}\n"


def test_a_job_that_somebody_cloned_is_told_and_neither_changed_nor_deleted(
    deployer: Deployer, project: Project
) -> None:
    project.resources(VIEWED)
    deployer.apply()
    (job,) = deployer.client.jobs.list()
    assert job.settings is not None
    clone = deployer.client.jobs.create(name="one (clone)", tags=job.settings.tags, max_concurrent_runs=7)

    planned = deployer.apply()

    assert planned.changes == ()
    assert "copies that carry the tag of something else" in render(planned)
    assert {each.settings.name for each in deployer.client.jobs.list() if each.settings} == {"one", "one (clone)"}
    declared = project.load()
    assert [each.id for each in owned(declared, record(deployer.client, declared))] == [str(job.job_id)]
    project.resources("")
    gone = deployer.plan()
    assert prunable(gone) == []
    assert str(clone.job_id) in {each.id for each in gone.copies}
