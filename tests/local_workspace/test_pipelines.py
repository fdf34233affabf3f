"""Pipelines, by the official client."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from databricks.sdk.errors import BadRequest, InvalidParameterValue, NotFound, ResourceConflict
from databricks.sdk.service.pipelines import (
    EventLevel,
    NotebookLibrary,
    PipelineLibrary,
    PipelineState,
    ReplaceWhereOverride,
    RunAs,
    StartUpdateCause,
    UpdateInfoCause,
    UpdateInfoState,
    UpdateStateInfoState,
)
from databricks.sdk.service.workspace import Language

from local_workspace import Options, Workspace
from tests.patience import wait_for

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

LIBRARIES = [PipelineLibrary(notebook=NotebookLibrary(path="/Shared/orders"))]


@pytest.fixture
def client_of_small_pages() -> Iterator[WorkspaceClient]:
    with Workspace(options=Options(page_size=2)) as workspace:
        yield workspace.client()


def create(client: WorkspaceClient, name: str = "orders") -> str:
    return client.pipelines.create(name=name, libraries=LIBRARIES, configuration={"a": "1"}).pipeline_id or ""


def test_a_pipeline_is_kept_with_its_settings_and_the_services_defaults(client: WorkspaceClient) -> None:
    pipeline = client.pipelines.get(create(client))
    assert (pipeline.name, pipeline.state) == ("orders", PipelineState.IDLE)
    assert (pipeline.creator_user_name, pipeline.run_as_user_name) == ("engineer@localhost", "engineer@localhost")
    assert pipeline.spec is not None
    assert pipeline.spec.libraries == LIBRARIES
    assert pipeline.spec.storage == f"dbfs:/pipelines/{pipeline.pipeline_id}"
    assert (pipeline.spec.channel, pipeline.spec.configuration) == ("CURRENT", {"a": "1"})


def test_a_name_that_is_taken_conflicts_unless_duplicates_are_allowed(client: WorkspaceClient) -> None:
    create(client)
    with pytest.raises(ResourceConflict, match="'orders' is already used"):
        create(client)
    assert client.pipelines.create(name="orders", allow_duplicate_names=True).pipeline_id
    with pytest.raises(ResourceConflict):
        client.pipelines.update(create(client, "other"), name="orders")


def test_a_dry_run_shows_the_settings_and_keeps_nothing(client: WorkspaceClient) -> None:
    answer = client.pipelines.create(name="orders", dry_run=True, catalog="main")
    assert answer.pipeline_id is None
    assert answer.effective_settings is not None
    assert (answer.effective_settings.catalog, answer.effective_settings.storage) == ("main", None)
    assert list(client.pipelines.list_pipelines()) == []


def test_an_edit_replaces_the_settings_and_keeps_id_and_creator(client: WorkspaceClient) -> None:
    number = create(client)
    client.pipelines.update(number, name="renamed", development=True, run_as=RunAs(service_principal_name="sp"))
    pipeline = client.pipelines.get(number)
    assert pipeline.spec is not None
    assert (pipeline.name, pipeline.spec.name, pipeline.spec.development) == ("renamed", "renamed", True)
    assert (pipeline.spec.configuration, pipeline.spec.id) == (None, number)
    assert (pipeline.creator_user_name, pipeline.run_as_user_name) == ("engineer@localhost", "sp")


def test_an_edit_of_an_older_version_conflicts(client: WorkspaceClient) -> None:
    number = create(client)
    with pytest.raises(ResourceConflict, match="was modified at"):
        client.pipelines.update(number, name="orders", expected_last_modified=1)


def test_a_pipeline_without_a_name_or_of_the_wrong_shape_is_refused(client: WorkspaceClient) -> None:
    with pytest.raises(InvalidParameterValue, match="name"):
        client.pipelines.create(libraries=LIBRARIES)
    with pytest.raises(BadRequest, match="Could not parse"):
        client.api_client.do("POST", "/api/2.0/pipelines", body={"name": "a", "libraries": "x"})


def test_pipelines_are_listed_past_page_one_and_by_filter(client_of_small_pages: WorkspaceClient) -> None:
    client = client_of_small_pages
    for number in range(5):
        create(client, f"p{number}")
    assert [each.name for each in client.pipelines.list_pipelines(order_by=["name desc"])] == [
        "p4", "p3", "p2", "p1", "p0"
    ]  # fmt: skip
    assert len(list(client.pipelines.list_pipelines())) == 5
    assert [each.name for each in client.pipelines.list_pipelines(filter="name LIKE '%3'")] == ["p3"]
    assert list(client.pipelines.list_pipelines(filter="name LIKE 'p.'")) == []
    assert len(list(client.pipelines.list_pipelines(filter="notebook='/Shared/orders'"))) == 5
    assert list(client.pipelines.list_pipelines(filter="notebook='/Shared/none'")) == []


@pytest.mark.parametrize("wrong", [{"filter": "owner = 'a'"}, {"max_results": 101}, {"order_by": ["state"]}])
def test_a_listing_that_the_service_does_not_know_is_refused(client: WorkspaceClient, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidParameterValue):
        list(client.pipelines.list_pipelines(**wrong))  # type: ignore[arg-type]  # one of three


def started(client: WorkspaceClient, number: str, **options: object) -> str:
    """Start an update and wait for its end; the client's own waiter is for pipelines that are idle at first."""
    update_id = client.pipelines.start_update(number, **options).update_id or ""  # type: ignore[arg-type]  # as given
    until_idle(client, number)
    return update_id


def until_idle(client: WorkspaceClient, number: str) -> None:
    wait_for(lambda: client.pipelines.get(number).state is PipelineState.IDLE)


def test_a_continuous_pipeline_starts_by_itself_whenever_it_is_kept(client: WorkspaceClient) -> None:
    number = str(client.pipelines.create(name="on", libraries=LIBRARIES, continuous=True).pipeline_id)
    until_idle(client, number)
    client.pipelines.update(number, name="on", libraries=LIBRARIES, continuous=True)
    causes = [each.cause for each in client.pipelines.list_updates(number).updates or []]
    assert causes == [UpdateInfoCause.USER_ACTION] * 2


@pytest.mark.parametrize(
    ("cell", "said"),
    [("%pip install -U no-such-package", "'no-such-package' is missing"), ("%sh ls", "has a cell %sh")],
)
def test_a_magic_of_a_notebook_is_followed_or_refused(client: WorkspaceClient, cell: str, said: str) -> None:
    text = f"# Databricks notebook source\n# MAGIC {cell}\n".encode()
    client.workspace.upload("/Shared/magic", io.BytesIO(text), language=Language.PYTHON, overwrite=True)
    library = PipelineLibrary(notebook=NotebookLibrary(path="/Shared/magic"))
    number = str(client.pipelines.create(name=said, libraries=[library]).pipeline_id)
    started(client, number)
    (error,) = client.pipelines.list_pipeline_events(number, filter="level='ERROR'")
    assert said in str(error.as_dict())


def test_an_update_ends_failed_and_says_why_everywhere(client: WorkspaceClient) -> None:
    number = create(client)
    update_id = started(client, number, full_refresh=True, cause=StartUpdateCause.JOB_TASK)
    update = client.pipelines.get_update(number, update_id).update
    assert update is not None
    assert (update.state, update.full_refresh, update.cause) == (UpdateInfoState.FAILED, True, UpdateInfoCause.JOB_TASK)
    latest = client.pipelines.get(number).latest_updates
    assert latest is not None
    assert [(each.update_id, each.state) for each in latest] == [(update_id, UpdateStateInfoState.FAILED)]
    listed = next(iter(client.pipelines.list_pipelines()))
    assert listed.latest_updates == latest
    errors = list(client.pipelines.list_pipeline_events(number, filter="level='ERROR'"))
    assert [each.level for each in errors] == [EventLevel.ERROR]
    assert errors[0].error is not None
    assert "There is no notebook /Shared/orders" in str(errors[0].error.as_dict())


def test_a_validation_fails_with_the_same_reason(client: WorkspaceClient) -> None:
    number = create(client)
    update = client.pipelines.get_update(number, started(client, number, validate_only=True)).update
    assert update is not None
    assert (update.validate_only, update.state) == (True, UpdateInfoState.FAILED)


def test_updates_are_listed_newest_first_past_page_one_and_down_to_one(
    client_of_small_pages: WorkspaceClient,
) -> None:
    client = client_of_small_pages
    number = create(client)
    ids = [started(client, number) for _ in range(7)]
    seen: list[str | None] = []
    token: str | None = None
    while True:
        page = client.pipelines.list_updates(number, page_token=token)
        seen += [each.update_id for each in page.updates or []]
        token = page.next_page_token
        if not token:
            break
    assert seen == ids[::-1]
    until = client.pipelines.list_updates(number, until_update_id=ids[-2])
    assert [each.update_id for each in until.updates or []] == [ids[-1], ids[-2]]
    latest = client.pipelines.get(number).latest_updates or []
    assert [each.update_id for each in latest] == ids[:1:-1]


def test_events_are_filtered_ordered_and_paged(client_of_small_pages: WorkspaceClient) -> None:
    client = client_of_small_pages
    number = create(client)
    ids = [started(client, number) for _ in range(3)]
    ascending = list(client.pipelines.list_pipeline_events(number, order_by=["timestamp asc"]))
    descending = list(client.pipelines.list_pipeline_events(number))
    assert len(ascending) == 9
    assert [each.id for each in descending] == [each.id for each in ascending[::-1]]
    of_one = f"update_id = '{ids[1]}' AND level in ('INFO', 'WARN')"
    found = list(client.pipelines.list_pipeline_events(number, filter=of_one))
    assert [each.event_type for each in found] == ["update_progress", "create_update"]
    last = ascending[-1].timestamp
    assert list(client.pipelines.list_pipeline_events(number, filter=f"timestamp > '{last}'")) == []
    with pytest.raises(InvalidParameterValue, match="state = 'x'"):
        list(client.pipelines.list_pipeline_events(number, filter="state = 'x'"))


def test_a_stop_of_an_idle_pipeline_changes_nothing(client: WorkspaceClient) -> None:
    number = create(client)
    assert client.pipelines.stop(number).result().state is PipelineState.IDLE


def test_a_deleted_pipeline_is_gone_with_its_updates(workspace: Workspace, client: WorkspaceClient) -> None:
    number = create(client)
    update_id = started(client, number)
    client.pipelines.delete(number)
    for call in (
        lambda: client.pipelines.get(number),
        lambda: client.pipelines.get_update(number, update_id),
        lambda: client.pipelines.start_update(number),
        lambda: client.pipelines.delete(number),
        lambda: client.pipelines.stop(number),
    ):
        with pytest.raises(NotFound, match=number):
            call()
    assert update_id not in str(workspace.state().dump())


def test_a_selection_that_is_not_followed_is_refused(client: WorkspaceClient) -> None:
    number = create(client)
    with pytest.raises(
        InvalidParameterValue, match=r"reset_checkpoint_selection is not supported .* refresh_selection"
    ):
        client.pipelines.start_update(number, reset_checkpoint_selection=["silver"])
    with pytest.raises(InvalidParameterValue, match=r"replace_where_overrides: .* not 'silver' and None"):
        client.pipelines.start_update(number, replace_where_overrides=[ReplaceWhereOverride("silver")])
    assert not client.pipelines.get(number).latest_updates


def test_an_update_of_another_pipeline_is_not_found(client: WorkspaceClient) -> None:
    one, two = create(client), create(client, "two")
    update_id = client.pipelines.start_update(one).update_id or ""
    with pytest.raises(NotFound, match=update_id):
        client.pipelines.get_update(two, update_id)


def test_an_update_that_a_killed_server_left_active_is_failed_by_the_next_one(tmp_path: Path) -> None:
    with Workspace(tmp_path, token="mine") as workspace:
        number = create(workspace.client())
        update_id = started(workspace.client(), number)
        kept = workspace.state().folder / "state"
    for name in ("updates", "events"):  # as they were before its end
        file = kept / f"pipelines.{name}.json"
        file.write_text(file.read_text().replace('"state": "FAILED"', '"state": "RUNNING"'), encoding="utf-8")
    with Workspace(tmp_path, token="mine") as workspace:
        client = workspace.client()
        assert client.pipelines.get_update(number, update_id).update.state is UpdateInfoState.FAILED
        assert client.pipelines.get(number).state is PipelineState.IDLE
        last = next(iter(client.pipelines.list_pipeline_events(number)))
        assert "The local workspace was stopped meanwhile" in str(last.error.as_dict())
        assert started(client, number)
