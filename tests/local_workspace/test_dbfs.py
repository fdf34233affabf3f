"""The Databricks file system, by the official client."""

from __future__ import annotations

import base64
import io
import itertools
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from databricks.sdk.core import DatabricksError
from databricks.sdk.errors import BadRequest, InvalidParameterValue, ResourceAlreadyExists, ResourceDoesNotExist

from local_workspace import Workspace
from local_workspace.server.state import SystemClock

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def names(client: WorkspaceClient, path: str) -> list[str | None]:
    return [each.path for each in client.dbfs.list(path)]


def code(error: DatabricksError) -> str | None:
    return error.error_code


def test_a_file_put_is_read_back_and_listed(client: WorkspaceClient) -> None:
    client.dbfs.put("/init/a-ü.sh", contents=encoded(b"echo"))
    assert base64.b64decode(client.dbfs.read("dbfs:/init/a-ü.sh").data or "") == b"echo"
    status = client.dbfs.get_status("/init/a-ü.sh")
    assert (status.path, status.is_dir, status.file_size) == ("/init/a-ü.sh", False, 4)
    assert abs((status.modification_time or 0) / 1000 - 1.7e9) < 1e9
    assert names(client, "/init") == ["/init/a-ü.sh"]
    assert names(client, "/") == ["/init"]


def test_a_put_over_a_file_conflicts_unless_it_overwrites_and_never_replaces_a_folder(
    client: WorkspaceClient,
) -> None:
    client.dbfs.put("/a", contents=encoded(b"1"))
    with pytest.raises(ResourceAlreadyExists):
        client.dbfs.put("/a", contents=encoded(b"2"))
    client.dbfs.put("/a", contents=encoded(b"2"), overwrite=True)
    assert base64.b64decode(client.dbfs.read("/a").data or "") == b"2"
    client.dbfs.mkdirs("/folder")
    with pytest.raises(ResourceAlreadyExists):
        client.dbfs.put("/folder", contents="", overwrite=True)


def test_a_file_of_five_megabytes_goes_up_in_blocks_and_comes_down_in_pieces(client: WorkspaceClient) -> None:
    content = bytes(range(256)) * 20_000 + b"end"
    client.dbfs.upload("/big/file.bin", io.BytesIO(content))
    with client.dbfs.download("/big/file.bin") as file:
        assert file.read() == content


def test_a_file_appears_when_its_upload_is_closed(client: WorkspaceClient) -> None:
    handle = client.dbfs.create("/a/b").handle or 0
    client.dbfs.add_block(handle, encoded(b"one "))
    assert not client.dbfs.exists("/a/b")
    client.dbfs.add_block(handle, encoded(b"two"))
    client.dbfs.close(handle)
    assert base64.b64decode(client.dbfs.read("/a/b").data or "") == b"one two"
    for late in (lambda: client.dbfs.add_block(handle, ""), lambda: client.dbfs.close(handle)):
        with pytest.raises(DatabricksError):
            late()


def test_a_handle_that_was_closed_is_not_found(client: WorkspaceClient) -> None:
    with pytest.raises(ResourceDoesNotExist, match="handle 7"):
        client.dbfs.add_block(7, encoded(b"x"))


def test_a_handle_that_was_idle_for_ten_minutes_is_not_found(workspace: Workspace, client: WorkspaceClient) -> None:
    class Later(SystemClock):
        def time(self) -> float:
            return super().time() + 601

    handle = client.dbfs.create("/a").handle or 0
    workspace.state().clock = Later()
    with pytest.raises(ResourceDoesNotExist, match="No file was open"):
        client.dbfs.add_block(handle, encoded(b"x"))


def test_create_over_a_file_conflicts(client: WorkspaceClient) -> None:
    client.dbfs.put("/a", contents=encoded(b"1"))
    with pytest.raises(ResourceAlreadyExists):
        client.dbfs.create("/a")
    assert client.dbfs.create("/a", overwrite=True).handle


def test_blocks_and_reads_have_their_size(client: WorkspaceClient) -> None:
    too_much = encoded(bytes(2**20 + 1))
    with pytest.raises(BadRequest) as caught:
        client.dbfs.put("/a", contents=too_much)
    assert code(caught.value) == "MAX_BLOCK_SIZE_EXCEEDED"
    client.dbfs.put("/a", contents=encoded(bytes(600_000)))
    assert client.dbfs.read("/a").bytes_read == 512 * 1024
    with pytest.raises(BadRequest) as caught:
        client.dbfs.read("/a", length=2**20 + 1)
    assert code(caught.value) == "MAX_READ_SIZE_EXCEEDED"


def test_a_read_goes_to_the_end_at_most_and_never_backwards(client: WorkspaceClient) -> None:
    client.dbfs.put("/a", contents=encoded(b"0123456789"))
    assert base64.b64decode(client.dbfs.read("/a", offset=8, length=100).data or "") == b"89"
    assert client.dbfs.read("/a", offset=10).bytes_read == 0
    client.dbfs.mkdirs("/folder")
    for refused in ({"offset": -1}, {"length": -1}):
        with pytest.raises(InvalidParameterValue):
            client.dbfs.read("/a", **refused)
    with pytest.raises(InvalidParameterValue, match="is a folder"):
        client.dbfs.read("/folder")


def test_folders_cannot_lie_beneath_a_file(client: WorkspaceClient) -> None:
    client.dbfs.put("/a", contents="")
    for call in (lambda: client.dbfs.mkdirs("/a/b"), lambda: client.dbfs.put("/a/b/c", contents="")):
        with pytest.raises(ResourceAlreadyExists, match="path /a,"):
            call()


def test_a_folder_is_deleted_with_what_is_in_it_only_recursively(client: WorkspaceClient) -> None:
    client.dbfs.put("/a/b/c", contents=encoded(b"1"))
    with pytest.raises(BadRequest, match="not empty") as caught:
        client.api_client.do("POST", "/api/2.0/dbfs/delete", body={"path": "/a"})
    assert code(caught.value) == "IO_ERROR"
    client.dbfs.delete("/a", recursive=True)
    assert names(client, "/") == []
    client.dbfs.delete("/a")


def test_a_move_takes_a_folder_with_it_and_never_overwrites(client: WorkspaceClient) -> None:
    client.dbfs.put("/a/b/c", contents=encoded(b"1"))
    client.dbfs.move("/a", "/x")
    assert names(client, "/x/b") == ["/x/b/c"]
    client.dbfs.put("/y", contents="")
    with pytest.raises(ResourceAlreadyExists):
        client.dbfs.move("/x/b/c", "/y")
    with pytest.raises(ResourceDoesNotExist):
        client.dbfs.move("/none", "/z")
    with pytest.raises(InvalidParameterValue, match="into itself"):
        client.dbfs.move("/x", "/x/b/x")


@pytest.mark.parametrize("path", ["/../x", "relative"])
def test_paths_that_climb_or_are_relative_are_refused(client: WorkspaceClient, path: str) -> None:
    with pytest.raises(InvalidParameterValue):
        client.dbfs.put(path, contents=encoded(b"1"))


@pytest.mark.parametrize("call", ["get_status", "list", "read"])
def test_what_is_not_there_is_not_found(client: WorkspaceClient, call: str) -> None:
    with pytest.raises(ResourceDoesNotExist, match="/none"):
        list(getattr(client.dbfs, call)("/none"))


def test_a_volume_is_seen_through_dbfs_too(workspace: Workspace, client: WorkspaceClient) -> None:
    client.files.upload("/Volumes/main/default/raw/a", io.BytesIO(b"1"))
    status = client.api_client.do("GET", "/api/2.0/dbfs/get-status", query={"path": "dbfs:/Volumes/main/default/raw/a"})
    assert status["file_size"] == 1


def test_listings_bear_files_that_go_meanwhile_and_links_that_lead_nowhere(
    workspace: Workspace, client: WorkspaceClient
) -> None:
    folder = workspace.state().path("volumes", "main", "default", "raw")
    over = threading.Event()

    def churn() -> None:
        for number in itertools.cycle(range(200)):
            if over.is_set():
                return
            (folder / f"new{number}").write_text("")
            (folder / f"new{number}").unlink()

    (folder / "stays").write_text("")
    (folder / "nowhere").symlink_to("missing")
    churning = threading.Thread(target=churn)
    churning.start()
    try:
        for _ in range(30):
            assert "/Volumes/main/default/raw/stays" in names(client, "/Volumes/main/default/raw")
            listed = [each.name for each in client.files.list_directory_contents("/Volumes/main/default/raw")]
            assert "stays" in listed
            assert "nowhere" not in listed
    finally:
        over.set()
        churning.join()


def test_a_link_out_of_the_workspace_is_neither_shown_nor_followed(
    workspace: Workspace, client: WorkspaceClient, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    for place in ("dbfs", "volumes/main/default/raw", "files/Shared"):
        (workspace.state().path(*place.split("/")) / "out").symlink_to(tmp_path)
    assert names(client, "/") == []
    assert list(client.files.list_directory_contents("/Volumes/main/default/raw")) == []
    assert list(client.workspace.list("/Shared")) == []
    with pytest.raises(InvalidParameterValue, match="out of the workspace"):
        client.dbfs.read("/out/secret")
    with pytest.raises(InvalidParameterValue, match="out of the workspace"):
        client.files.download("/Volumes/main/default/raw/out/secret")
    with pytest.raises(InvalidParameterValue, match="out of the workspace"):
        client.workspace.export("/Shared/out/secret")


@pytest.mark.parametrize("name", ["\0", "é" * 200, "\ud800"])
def test_a_name_that_no_file_can_have_is_refused(client: WorkspaceClient, name: str) -> None:
    for path in (f"/{name}", f"/Volumes/main/default/raw/{name}"):
        with pytest.raises(InvalidParameterValue, match="at most 255 bytes"):
            client.api_client.do("POST", "/api/2.0/dbfs/mkdirs", body={"path": path})
