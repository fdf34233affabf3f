"""Notebooks, files and folders of the local workspace, by the official client."""

from __future__ import annotations

import base64
import http.client
import io
import json
import urllib.parse
import zipfile
from typing import TYPE_CHECKING

import nbformat
import pytest
from databricks.sdk.core import DatabricksError
from databricks.sdk.errors import (
    BadRequest,
    InvalidParameterValue,
    NotFound,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
)
from databricks.sdk.service.workspace import ExportFormat, ImportFormat, Language, ObjectType

from local_workspace import Workspace
from local_workspace.errors import ApiError
from local_workspace.services.workspace_objects import WorkspaceObjects

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

HOME = "/Users/engineer@localhost"
SOURCE = """# Databricks notebook source
# MAGIC %md
# MAGIC # Title
# MAGIC and text

# COMMAND ----------

# DBTITLE 1,Count
print(1 + 1)

# COMMAND ----------

# MAGIC %sql
# MAGIC SELECT 1
"""


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def import_source(client: WorkspaceClient, path: str, text: str = SOURCE, *, overwrite: bool = False) -> None:
    client.workspace.import_(
        path, content=encoded(text), format=ImportFormat.SOURCE, language=Language.PYTHON, overwrite=overwrite
    )


def exported(client: WorkspaceClient, path: str, format: ExportFormat | None = None) -> str:
    return base64.b64decode(client.workspace.export(path, format=format).content or "").decode()


def paths(client: WorkspaceClient, path: str, *, recursive: bool = False) -> list[str | None]:
    return [each.path for each in client.workspace.list(path, recursive=recursive)]


def import_file(client: WorkspaceClient, path: str, content: bytes, *, overwrite: bool) -> None:
    """Do what Databricks' command-line tool does."""
    escaped = urllib.parse.quote(path.lstrip("/"), safe="")
    client.api_client.do(
        "POST",
        f"/api/2.0/workspace-files/import-file/{escaped}",
        query={"overwrite": str(overwrite).lower()},
        headers={"Content-Type": "application/json"},
        data=content,
    )


def posted(workspace: Workspace, path: str) -> int:
    """Send a file without a client that would tidy the path or hide the status."""
    connection = http.client.HTTPConnection(workspace.host.removeprefix("http://"))
    headers = {"Authorization": f"Bearer {workspace.token}"}
    connection.request("POST", f"/api/2.0/workspace-files/import-file{path}?overwrite=false", b"x", headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_notebook_imported_as_source_is_exported_as_it_was(client: WorkspaceClient) -> None:
    import_source(client, "/Shared/daily")
    assert exported(client, "/Shared/daily") == SOURCE
    status = client.workspace.get_status("/Shared/daily")
    assert (status.object_type, status.language, status.path) == (
        ObjectType.NOTEBOOK,
        Language.PYTHON,
        "/Shared/daily",
    )
    assert status.object_id


def test_source_without_its_first_line_is_given_it_when_exported(client: WorkspaceClient) -> None:
    import_source(client, "/Shared/plain", "print(1)")
    assert exported(client, "/Shared/plain") == "# Databricks notebook source\nprint(1)"


def test_a_second_import_conflicts_unless_it_overwrites_and_keeps_the_id(client: WorkspaceClient) -> None:
    import_source(client, "/Shared/a")
    before = client.workspace.get_status("/Shared/a").object_id
    with pytest.raises(ResourceAlreadyExists, match=r"Path \(/Shared/a\) already exists"):
        import_source(client, "/Shared/a")
    import_source(client, "/Shared/a", "# Databricks notebook source\n2", overwrite=True)
    assert exported(client, "/Shared/a").endswith("\n2")
    assert client.workspace.get_status("/Shared/a").object_id == before


def test_a_file_never_overwrites_a_notebook_nor_a_folder(client: WorkspaceClient) -> None:
    import_source(client, "/Shared/a")
    client.workspace.mkdirs("/Shared/folder")
    for path, actual in (("/Shared/a", "NOTEBOOK"), ("/Shared/folder", "DIRECTORY")):
        with pytest.raises(DatabricksError, match=f"actual: {actual}"):
            client.workspace.upload(path, b"x", format=ImportFormat.RAW, overwrite=True)
    assert exported(client, "/Shared/a") == SOURCE


def test_source_of_one_file_needs_a_language(client: WorkspaceClient) -> None:
    with pytest.raises(InvalidParameterValue, match="language field must be set"):
        client.workspace.import_("/Shared/a", content=encoded("1"), format=ImportFormat.SOURCE)


@pytest.mark.parametrize("format", [ImportFormat.HTML, ImportFormat.DBC, ImportFormat.R_MARKDOWN])
def test_formats_that_are_not_read_here_are_refused_by_name(client: WorkspaceClient, format: ImportFormat) -> None:
    with pytest.raises(InvalidParameterValue, match=f"does not import {format.value}"):
        client.workspace.import_("/Shared/a", content=encoded("x"), format=format)


def test_content_that_is_not_base64_is_refused(client: WorkspaceClient) -> None:
    with pytest.raises(InvalidParameterValue, match="not base64"):
        client.workspace.import_("/Shared/a", content="%%", language=Language.PYTHON)


def test_an_import_beneath_a_missing_folder_is_not_found(client: WorkspaceClient) -> None:
    with pytest.raises(ResourceDoesNotExist, match=r"parent folder \(/Shared/none\)"):
        import_source(client, "/Shared/none/a")


def test_source_becomes_a_jupyter_notebook_with_titles_text_and_magic(client: WorkspaceClient) -> None:
    import_source(client, "/Shared/a")
    text = exported(client, "/Shared/a", ExportFormat.JUPYTER)
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        ("markdown", "# Title\nand text"),
        ("code", "print(1 + 1)"),
        ("code", "%sql\nSELECT 1"),
    ]


def test_source_survives_the_way_to_jupyter_and_back(client: WorkspaceClient) -> None:
    import_source(client, "/Shared/a")
    text = exported(client, "/Shared/a", ExportFormat.JUPYTER)
    client.workspace.import_("/Shared/b", content=encoded(text), format=ImportFormat.JUPYTER)
    assert exported(client, "/Shared/b", ExportFormat.SOURCE) == SOURCE
    assert exported(client, "/Shared/b", ExportFormat.AUTO) == text


def test_a_jupyter_notebook_without_cell_ids_is_taken(client: WorkspaceClient) -> None:
    old = {"cells": [{"cell_type": "code", "metadata": {}, "source": "1", "outputs": [], "execution_count": None}]}
    text = json.dumps({**old, "nbformat": 4, "nbformat_minor": 2, "metadata": {}})
    client.workspace.import_("/Shared/a", content=encoded(text), format=ImportFormat.JUPYTER)
    assert exported(client, "/Shared/a", ExportFormat.SOURCE) == "# Databricks notebook source\n1\n"


@pytest.mark.parametrize("text", ["print(1)", "[]", '{"cells": 3}', '{"nbformat": 4, "cells": [{}], "metadata": {}}'])
def test_what_is_no_jupyter_notebook_is_refused(client: WorkspaceClient, text: str) -> None:
    with pytest.raises(InvalidParameterValue, match="not a valid Jupyter notebook"):
        client.workspace.import_("/Shared/a", content=encoded(text), format=ImportFormat.JUPYTER)


def test_the_html_of_a_notebook_shows_its_source_escaped(client: WorkspaceClient) -> None:
    import_source(client, "/Shared/a", "# Databricks notebook source\nprint('<script>')")
    page = exported(client, "/Shared/a", ExportFormat.HTML)
    assert "&lt;script&gt;" in page
    assert "<script>" not in page


@pytest.mark.parametrize(
    ("name", "content", "object_type", "path"),
    [
        ("a.py", SOURCE, ObjectType.NOTEBOOK, "/Shared/a"),
        ("a.sql", "-- Databricks notebook source\nSELECT 1", ObjectType.NOTEBOOK, "/Shared/a"),
        ("a.scala", "// Databricks notebook source\n1", ObjectType.NOTEBOOK, "/Shared/a"),
        ("a.ipynb", '{"cells": [], "metadata": {}, "nbformat": 4}', ObjectType.NOTEBOOK, "/Shared/a"),
        ("a.py", "print(1)", ObjectType.FILE, "/Shared/a.py"),
        ("a.whl", "PK", ObjectType.FILE, "/Shared/a.whl"),
        ("noten-ü-日本.txt", "ü", ObjectType.FILE, "/Shared/noten-ü-日本.txt"),
    ],
)
def test_auto_takes_a_notebook_for_a_notebook_and_its_suffix_off(
    client: WorkspaceClient, name: str, content: str, object_type: ObjectType, path: str
) -> None:
    client.workspace.upload(f"/Shared/{name}", content.encode(), format=ImportFormat.AUTO)
    assert [(each.path, each.object_type) for each in client.workspace.list("/Shared")] == [(path, object_type)]


def test_upload_and_download_send_bytes_of_five_megabytes_as_they_are(client: WorkspaceClient) -> None:
    content = bytes(range(256)) * 20_000
    client.workspace.upload("/Shared/big.bin", content, format=ImportFormat.AUTO)
    assert client.workspace.download("/Shared/big.bin").read() == content
    assert client.workspace.get_status("/Shared/big.bin").size == len(content)


def test_upload_of_a_script_takes_the_language_of_its_suffix(client: WorkspaceClient) -> None:
    client.workspace.upload("/Shared/load.py", b"print(1)")
    assert client.workspace.get_status("/Shared/load.py").object_type is ObjectType.NOTEBOOK


def test_what_is_too_big_for_json_says_so(client: WorkspaceClient) -> None:
    client.workspace.upload("/Shared/big.bin", bytes(11 * 2**20), format=ImportFormat.AUTO)
    with pytest.raises(BadRequest, match="more than 10485760") as caught:
        client.workspace.export("/Shared/big.bin")
    assert caught.value.error_code == "MAX_NOTEBOOK_SIZE_EXCEEDED"


def test_a_folder_is_exported_as_a_zip(client: WorkspaceClient) -> None:
    client.workspace.mkdirs("/Shared/job/lib")
    import_source(client, "/Shared/job/lib/nb")
    client.workspace.upload("/Shared/job/data.csv", b"1", format=ImportFormat.AUTO)
    for format, names in ((ExportFormat.AUTO, ["data.csv", "lib/nb.py"]), (ExportFormat.SOURCE, ["lib/nb.py"])):
        content = client.workspace.download("/Shared/job", format=format).read()
        assert sorted(zipfile.ZipFile(io.BytesIO(content)).namelist()) == names


def test_paths_with_and_without_workspace_are_the_same(client: WorkspaceClient) -> None:
    import_source(client, "/Workspace/Shared/a")
    assert client.workspace.get_status("/Shared/a") == client.workspace.get_status("/Workspace/Shared/a/")
    assert paths(client, "/Workspace/Shared") == ["/Shared/a"]


def test_the_folders_that_every_workspace_has_exist_and_cannot_be_deleted(client: WorkspaceClient) -> None:
    assert paths(client, "/") == ["/Repos", "/Shared", "/Users"]
    for path in ("/", "/Users", "/Shared", "/Repos", HOME):
        assert client.workspace.get_status(path).object_type is ObjectType.DIRECTORY
        with pytest.raises(BadRequest, match="is protected"):
            client.workspace.delete(path, recursive=True)


def test_listing_goes_down_when_the_client_asks_for_it(client: WorkspaceClient) -> None:
    client.workspace.mkdirs(f"{HOME}/a/b/c")
    import_source(client, f"{HOME}/a/b/c/deep")
    assert paths(client, HOME) == [f"{HOME}/a"]
    assert paths(client, HOME, recursive=True) == [f"{HOME}/a/b/c/deep"]
    assert paths(client, f"{HOME}/a/b/c/deep") == [f"{HOME}/a/b/c/deep"]


def test_listing_leaves_out_notebooks_not_changed_since(client: WorkspaceClient) -> None:
    import_source(client, "/Shared/old")
    changed = client.workspace.get_status("/Shared/old").modified_at or 0
    listed = client.workspace.list("/Shared", notebooks_modified_after=changed - 1)
    assert [each.path for each in listed] == ["/Shared/old"]
    assert list(client.workspace.list("/Shared", notebooks_modified_after=changed)) == []


def test_folders_are_made_with_those_above_and_again_without_complaint(client: WorkspaceClient) -> None:
    client.workspace.mkdirs("/Shared/a/b")
    client.workspace.mkdirs("/Shared/a/b")
    import_source(client, "/Shared/a/nb")
    with pytest.raises(ResourceAlreadyExists, match="/Shared/a/nb is NOTEBOOK"):
        client.workspace.mkdirs("/Shared/a/nb/c")


def test_a_folder_with_something_in_it_is_deleted_only_recursively(
    workspace: Workspace, client: WorkspaceClient
) -> None:
    client.workspace.mkdirs("/Shared/a")
    import_source(client, "/Shared/a/nb")
    with pytest.raises(BadRequest, match=r"Folder \(/Shared/a\) is not empty") as caught:
        client.workspace.delete("/Shared/a")
    assert caught.value.error_code == "DIRECTORY_NOT_EMPTY"
    client.workspace.delete("/Shared/a", recursive=True)
    assert [path for path in workspace.state().service(WorkspaceObjects).objects if "/a" in path] == []
    for path in ("/Shared/a", "/Shared/a/nb"):
        with pytest.raises(ResourceDoesNotExist):
            client.workspace.get_status(path)


def test_an_object_made_again_after_deletion_is_another_one(client: WorkspaceClient) -> None:
    import_source(client, "/Shared/a")
    before = client.workspace.get_status("/Shared/a").object_id
    client.workspace.delete("/Shared/a")
    import_source(client, "/Shared/a")
    assert client.workspace.get_status("/Shared/a").object_id != before


@pytest.mark.parametrize("call", ["export", "delete", "get_status", "list"])
def test_what_is_not_there_is_not_found(client: WorkspaceClient, call: str) -> None:
    with pytest.raises(ResourceDoesNotExist, match=r"/Shared/none\) doesn't exist"):
        list(getattr(client.workspace, call)("/Shared/none") or [])


@pytest.mark.parametrize("path", ["/Shared/../../secret", "Shared/a", "/Shared/" + "x" * 300])
def test_paths_that_climb_are_relative_or_too_long_are_refused(client: WorkspaceClient, path: str) -> None:
    with pytest.raises(InvalidParameterValue, match="Path"):
        import_source(client, path)


def test_import_file_refuses_a_path_that_climbs_even_when_sent_undisguised(workspace: Workspace) -> None:
    assert posted(workspace, "/../../../../etc/x") == 400


def test_import_file_conflicts_with_the_status_that_the_command_line_tool_looks_for(workspace: Workspace) -> None:
    assert [posted(workspace, "/Shared/lock") for _ in range(2)] == [200, 409]
    assert posted(workspace, "/none/lock") == 404


def test_a_file_that_a_task_wrote_is_seen(workspace: Workspace, client: WorkspaceClient) -> None:
    written = workspace.state().service(WorkspaceObjects).file("/Shared/out/result.txt")
    written.parent.mkdir()
    written.write_text("done")
    found = list(client.workspace.list("/Shared", recursive=True))
    assert [(each.path, each.object_type, each.size) for each in found] == [
        ("/Shared/out/result.txt", ObjectType.FILE, 4)
    ]


def test_import_file_without_overwrite_conflicts_so_that_it_can_be_a_lock(client: WorkspaceClient) -> None:
    lock = f"{HOME}/.bundle/state/deploy.lock"
    with pytest.raises(NotFound, match="parent folder"):
        import_file(client, lock, b'["not an object"]', overwrite=False)
    client.workspace.mkdirs(f"{HOME}/.bundle/state")
    import_file(client, lock, b'["not an object"]', overwrite=False)
    with pytest.raises(DatabricksError, match="already exists") as caught:
        import_file(client, lock, b"other", overwrite=False)
    assert isinstance(caught.value, ResourceAlreadyExists)
    assert client.workspace.download(lock).read() == b'["not an object"]'
    import_file(client, lock, b"other", overwrite=True)
    assert client.workspace.download(lock).read() == b"other"


def test_import_file_makes_a_notebook_of_notebook_source(client: WorkspaceClient) -> None:
    import_file(client, "/Workspace/Shared/nb.py", SOURCE.encode(), overwrite=True)
    assert client.workspace.get_status("/Shared/nb").object_type is ObjectType.NOTEBOOK


def test_other_services_read_a_notebook_with_its_language_and_format(
    workspace: Workspace, client: WorkspaceClient
) -> None:
    import_source(client, "/Shared/a")
    objects = workspace.state().service(WorkspaceObjects)
    assert objects.notebook("/Workspace/Shared/a") == (SOURCE, "PYTHON", "SOURCE")
    client.workspace.upload("/Shared/f", b"", format=ImportFormat.RAW)
    with pytest.raises(ApiError, match="There is no notebook /Shared/f: it is of type FILE"):
        objects.notebook("/Shared/f")


def test_a_stale_read_does_not_see_what_was_just_written(workspace: Workspace, client: WorkspaceClient) -> None:
    workspace.faults.add("stale", method="GET", path="/api/2.0/workspace/*", times=2)
    client.workspace.mkdirs("/Shared/a")
    import_source(client, "/Shared/a/nb")
    assert paths(client, "/Shared/a") == []
    with pytest.raises(ResourceDoesNotExist):
        client.workspace.get_status("/Shared/a/nb")
    assert client.workspace.get_status("/Shared/a/nb").object_type is ObjectType.NOTEBOOK
    assert paths(client, "/Shared/a") == ["/Shared/a/nb"]


def test_a_stale_read_still_sees_what_was_just_deleted(workspace: Workspace, client: WorkspaceClient) -> None:
    import_source(client, "/Shared/nb")
    workspace.faults.add("stale", method="GET", path="/api/2.0/workspace/list")
    client.workspace.delete("/Shared/nb")
    assert paths(client, "/Shared") == ["/Shared/nb"]
    assert paths(client, "/Shared") == []
