"""The Files API, by the official client."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import DatabricksError
from databricks.sdk.errors import AlreadyExists, BadRequest, InvalidParameterValue, NotFound
from databricks.sdk.service.workspace import ImportFormat, Language

from local_workspace import Options, Workspace

VOLUME = "/Volumes/main/default/raw"


@pytest.fixture
def client_of_small_pages() -> Iterator[WorkspaceClient]:
    with Workspace(options=Options(page_size=2)) as workspace:
        yield workspace.client()


def upload(client: WorkspaceClient, path: str, content: bytes = b"1", *, overwrite: bool | None = None) -> None:
    client.files.upload(path, io.BytesIO(content), overwrite=overwrite)


def in_parts(workspace: Workspace) -> WorkspaceClient:
    """A client that takes every file for a big one."""
    config = workspace.client().config
    config.files_ext_multipart_upload_min_stream_size = 10
    config.files_ext_parallel_download_min_file_size = 10
    config.files_ext_parallel_download_default_part_size = 100
    return WorkspaceClient(config=config)


def content(client: WorkspaceClient, path: str) -> bytes:
    response = client.files.download(path)
    assert response.contents is not None
    return response.contents.read()


def raw(workspace: Workspace, method: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Call without a client that would tidy the path first."""
    connection = http.client.HTTPConnection(workspace.host.removeprefix("http://"))
    connection.request(method, path, headers={"Authorization": f"Bearer {workspace.token}", **(headers or {})})
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


@pytest.mark.parametrize("path", [f"{VOLUME}/deep/er/noten ü #1%.csv", "/Workspace/Shared/made/here.txt"])
def test_a_file_comes_back_as_it_was_and_its_folders_are_made(client: WorkspaceClient, path: str) -> None:
    upload(client, path, b"\x00\xff")
    assert content(client, path) == b"\x00\xff"
    metadata = client.files.get_metadata(path)
    assert (metadata.content_length, metadata.content_type) == (2, "application/octet-stream")
    modified = parsedate_to_datetime(metadata.last_modified or "")
    assert abs(datetime.now(UTC) - modified) < timedelta(minutes=1)
    client.files.get_directory_metadata(path.rpartition("/")[0])


def test_json_is_a_file_like_any_other(client: WorkspaceClient) -> None:
    client.api_client.do(
        "PUT", f"/api/2.0/fs/files{VOLUME}/a.json", headers={"Content-Type": "application/json"}, data=b"[1, 2"
    )
    assert content(client, f"{VOLUME}/a.json") == b"[1, 2"


def test_a_big_file_comes_back_whole(client: WorkspaceClient) -> None:
    sent = bytes(range(256)) * 20_000
    upload(client, f"{VOLUME}/big", sent)
    assert content(client, f"{VOLUME}/big") == sent


def test_a_second_upload_conflicts_unless_it_overwrites(client: WorkspaceClient) -> None:
    upload(client, f"{VOLUME}/a")
    with pytest.raises(AlreadyExists):
        upload(client, f"{VOLUME}/a", b"2", overwrite=False)
    assert content(client, f"{VOLUME}/a") == b"1"
    upload(client, f"{VOLUME}/a", b"2", overwrite=True)
    assert content(client, f"{VOLUME}/a") == b"2"


def test_a_file_and_a_folder_never_share_a_path(client: WorkspaceClient) -> None:
    upload(client, f"{VOLUME}/a")
    client.files.create_directory(f"{VOLUME}/folder")
    with pytest.raises(AlreadyExists):
        upload(client, f"{VOLUME}/folder", overwrite=True)
    for call in (
        lambda: client.files.create_directory(f"{VOLUME}/a"),
        lambda: client.files.create_directory(f"{VOLUME}/a/b"),
        lambda: upload(client, f"{VOLUME}/a/b"),
    ):
        with pytest.raises(AlreadyExists):
            call()


def test_a_listing_goes_on_past_its_first_page(client_of_small_pages: WorkspaceClient) -> None:
    for number in range(5):
        upload(client_of_small_pages, f"{VOLUME}/{number}", b"x" * number)
    client_of_small_pages.files.create_directory(f"{VOLUME}/folder")
    listed = list(client_of_small_pages.files.list_directory_contents(VOLUME))
    assert [each.path for each in listed] == [f"{VOLUME}/{name}" for name in (0, 1, 2, 3, 4, "folder")]
    assert [each.file_size for each in listed] == [0, 1, 2, 3, 4, None]
    assert [each.is_directory for each in listed] == [False] * 5 + [True]


def test_a_file_that_changed_in_between_is_not_read_on(workspace: Workspace, client: WorkspaceClient) -> None:
    upload(client, f"{VOLUME}/a", b"0123456789")
    path = f"/api/2.0/fs/files{VOLUME}/a"
    assert raw(workspace, "GET", path, {"Range": "bytes=2-4"}) == (206, b"234")
    assert raw(workspace, "GET", path, {"Range": "bytes=8-"}) == (206, b"89")
    assert raw(workspace, "GET", path, {"Range": "bytes=10-"})[0] == 416
    long_ago = {"If-Unmodified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"}
    assert raw(workspace, "GET", path, long_ago)[0] == 412


def test_files_and_folders_are_deleted_one_by_one(client: WorkspaceClient) -> None:
    upload(client, f"{VOLUME}/folder/a")
    with pytest.raises(BadRequest, match="not empty") as caught:
        client.files.delete_directory(f"{VOLUME}/folder")
    assert [each.reason for each in caught.value.get_error_info()] == ["FILES_API_DIRECTORY_IS_NOT_EMPTY"]
    client.files.delete(f"{VOLUME}/folder/a")
    client.files.delete_directory(f"{VOLUME}/folder")
    for call in (
        lambda: client.files.delete(f"{VOLUME}/folder/a"),
        lambda: client.files.delete_directory(f"{VOLUME}/folder"),
        lambda: client.files.get_directory_metadata(f"{VOLUME}/folder"),
        lambda: client.files.get_metadata(f"{VOLUME}/folder/a"),
        lambda: list(client.files.list_directory_contents(f"{VOLUME}/folder")),
        lambda: client.files.download(f"{VOLUME}/folder/a"),
    ):
        with pytest.raises(NotFound):
            call()


@pytest.mark.parametrize("path", ["/Volumes/main/a", "/tmp/a", "/Volumes/main/default/raw"])
def test_only_paths_within_a_volume_or_the_workspace_are_files(client: WorkspaceClient, path: str) -> None:
    with pytest.raises(InvalidParameterValue):
        upload(client, path)


@pytest.mark.parametrize("path", [f"{VOLUME}/../../../../x", "/Workspace/../../x", f"{VOLUME}/%2e%2e/%2e%2e/x"])
def test_paths_that_climb_are_refused_on_the_wire(workspace: Workspace, path: str) -> None:
    status, answer = raw(workspace, "GET", f"/api/2.0/fs/files{path}")
    assert (status, json.loads(answer)["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_a_notebook_is_no_file(client: WorkspaceClient) -> None:
    client.workspace.upload("/Shared/nb", b"1", format=ImportFormat.SOURCE, language=Language.PYTHON)
    for call in (
        lambda: upload(client, "/Workspace/Shared/nb", overwrite=True),
        lambda: client.files.delete("/Workspace/Shared/nb"),
    ):
        with pytest.raises(DatabricksError, match="is a notebook"):
            call()


def test_a_protected_folder_stays(client: WorkspaceClient) -> None:
    with pytest.raises(BadRequest, match="protected"):
        client.files.delete_directory("/Workspace/Shared")


def test_a_folder_copied_by_the_client_is_the_same_there(client: WorkspaceClient) -> None:
    upload(client, f"{VOLUME}/a/1", b"one")
    upload(client, f"{VOLUME}/a/b/2", b"two")
    found = sorted(str(each.path) for each in client.dbfs.list(f"dbfs:{VOLUME}/a", recursive=True))
    assert found == [f"{VOLUME}/a/1", f"{VOLUME}/a/b/2"]


@pytest.mark.parametrize("parallel", [False, True])
def test_a_file_in_parts_is_put_together_in_their_order(workspace: Workspace, tmp_path: Path, parallel: bool) -> None:
    sent, client = bytes(range(256)) * 8 + b"end", in_parts(workspace)
    client.files.upload(f"{VOLUME}/big ü", io.BytesIO(sent), use_parallel=parallel, part_size=100)
    assert content(client, f"{VOLUME}/big ü") == sent
    assert workspace.calls["POST /api/2.0/fs/create-upload-part-urls"] == (21 if parallel else 5)
    client.files.download_to(f"{VOLUME}/big ü", str(tmp_path / "there"), use_parallel=parallel)
    assert (tmp_path / "there").read_bytes() == sent
    assert list(workspace.state().path("uploads").iterdir()) == []


def test_a_file_in_parts_conflicts_before_any_part_is_sent(workspace: Workspace) -> None:
    client = in_parts(workspace)
    upload(client, f"{VOLUME}/a")
    with pytest.raises(AlreadyExists):
        upload(client, f"{VOLUME}/a", bytes(500), overwrite=False)
    assert content(client, f"{VOLUME}/a") == b"1"


def test_an_upload_that_failed_half_way_is_given_up_and_leaves_nothing(workspace: Workspace) -> None:
    client = in_parts(workspace)
    workspace.faults.add("status", path="*/create-upload-part-urls", status=400, skip=2)
    with pytest.raises(BadRequest):
        client.files.upload(f"{VOLUME}/a", io.BytesIO(bytes(500)), part_size=100)
    with pytest.raises(NotFound):
        client.files.get_metadata(f"{VOLUME}/a")
    assert list(workspace.state().path("uploads").iterdir()) == []


def test_parts_that_do_not_fit_their_tag_or_their_upload_are_refused(client: WorkspaceClient) -> None:
    do = client.api_client.do
    begun = do("POST", f"/api/2.0/fs/files{VOLUME}/a", query={"action": "initiate-upload"})
    assert isinstance(begun, dict)
    query = {"action": "complete-upload", "session_token": begun["multipart_upload"]["session_token"]}
    parts = {"parts": [{"part_number": 1, "etag": "x"}]}
    with pytest.raises(InvalidParameterValue, match="Part 1 was not sent"):
        do("POST", f"/api/2.0/fs/files{VOLUME}/a", query=query, body=parts)
    do("PUT", f"/local/parts/{query['session_token']}/1", data=b"1")
    with pytest.raises(InvalidParameterValue, match="or was sent again since"):
        do("POST", f"/api/2.0/fs/files{VOLUME}/a", query=query, body=parts)
    with pytest.raises(InvalidParameterValue, match="not to"):
        do("POST", f"/api/2.0/fs/files{VOLUME}/b", query=query, body=parts)
    with pytest.raises(NotFound):
        do("POST", f"/api/2.0/fs/files{VOLUME}/a", query={**query, "session_token": "none"}, body=parts)
    with pytest.raises(InvalidParameterValue, match="action"):
        do("POST", f"/api/2.0/fs/files{VOLUME}/a", query={"action": "none"})


@pytest.mark.parametrize("wrong", ["outside", "1", True, None, -1])
def test_a_part_is_a_number_and_reads_no_other_file(client: WorkspaceClient, tmp_path: Path, wrong: object) -> None:
    (tmp_path / "secret").write_text("secret")
    begun = client.api_client.do("POST", f"/api/2.0/fs/files{VOLUME}/a", query={"action": "initiate-upload"})
    query = {"action": "complete-upload", "session_token": begun["multipart_upload"]["session_token"]}
    number = str(tmp_path / "secret") if wrong == "outside" else wrong
    body = {"parts": [{"part_number": number, "etag": f'"{hashlib.sha256(b"secret").hexdigest()}"'}]}
    with pytest.raises(InvalidParameterValue, match="whole number"):
        client.api_client.do("POST", f"/api/2.0/fs/files{VOLUME}/a", query=query, body=body)
    with pytest.raises(NotFound):
        client.files.download(f"{VOLUME}/a")
