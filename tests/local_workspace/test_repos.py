"""Git folders and Git credentials, by the official client and with real repositories of this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from databricks.sdk.errors import (
    BadRequest,
    InvalidParameterValue,
    NotFound,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
)
from databricks.sdk.service.workspace import ObjectType, SparseCheckout

from local_workspace import Options, Workspace
from local_workspace.services.workspace_objects import WorkspaceObjects

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

HOME = "/Repos/engineer@localhost"


def git(folder: Path, *arguments: str) -> str:
    identity = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env={**os.environ, **identity},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def commit(folder: Path, name: str, text: str) -> str:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", name)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "jobs"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "src/daily.py", "# Databricks notebook source\nprint(1)")
    commit(folder, "README.md", "one")
    git(folder, "tag", "v1")
    (folder / "link").symlink_to("/etc/passwd")
    commit(folder, "README.md", "two")
    git(folder, "branch", "other", "v1")
    return folder


@pytest.fixture
def client_of_small_pages() -> Iterator[WorkspaceClient]:
    with Workspace(options=Options(page_size=2)) as workspace:
        yield workspace.client()


def readme(client: WorkspaceClient, path: str = f"{HOME}/jobs") -> str:
    return client.workspace.download(f"{path}/README.md").read().decode()


def test_a_repository_of_this_machine_is_cloned_into_the_users_folder(
    client: WorkspaceClient, repository: Path
) -> None:
    repo = client.repos.create(url=f"file://{repository}", provider="github")
    assert (repo.path, repo.branch, repo.provider) == (f"{HOME}/jobs", "main", "gitHub")
    assert repo.head_commit_id == git(repository, "rev-parse", "HEAD")
    status = client.workspace.get_status(f"{HOME}/jobs")
    assert (status.object_type, status.object_id) == (ObjectType.REPO, repo.id)
    assert readme(client) == "two"


def test_notebooks_of_a_git_folder_show_no_suffix_and_git_itself_is_hidden(
    workspace: Workspace, client: WorkspaceClient, repository: Path
) -> None:
    client.repos.create(url=str(repository), provider="gitHub")
    listed = {each.path: each.object_type for each in client.workspace.list(f"{HOME}/jobs", recursive=True)}
    assert listed == {
        f"{HOME}/jobs/README.md": ObjectType.FILE,
        f"{HOME}/jobs/link": ObjectType.FILE,
        f"{HOME}/jobs/src/daily": ObjectType.NOTEBOOK,
    }
    objects = workspace.state().service(WorkspaceObjects)
    assert objects.notebook(f"{HOME}/jobs/src/daily")[0].endswith("print(1)")


def test_a_notebook_of_a_git_folder_is_found_by_path_before_it_was_ever_listed(
    client: WorkspaceClient, repository: Path
) -> None:
    client.repos.create(url=str(repository), provider="gitHub")
    assert client.workspace.get_status(f"{HOME}/jobs/src/daily").object_type is ObjectType.NOTEBOOK


def test_a_link_in_a_repository_does_not_lead_out_of_the_workspace(client: WorkspaceClient, repository: Path) -> None:
    client.repos.create(url=str(repository), provider="gitHub")
    assert client.workspace.download(f"{HOME}/jobs/link").read() == b"/etc/passwd"


def test_update_goes_to_a_tag_a_branch_and_its_newest_commit(client: WorkspaceClient, repository: Path) -> None:
    number = client.repos.create(url=str(repository), provider="gitHub").id or 0
    client.repos.update(number, tag="v1")
    at_tag = client.repos.get(number)
    assert (at_tag.branch, at_tag.head_commit_id, readme(client)) == (None, git(repository, "rev-parse", "v1"), "one")
    newest = commit(repository, "README.md", "three")
    client.repos.update(number, branch="main")
    assert (client.repos.get(number).head_commit_id, readme(client)) == (newest, "three")
    client.repos.update(number, branch="other")
    assert (client.repos.get(number).branch, readme(client)) == ("other", "one")


def test_update_to_what_does_not_exist_says_so_in_gits_words(client: WorkspaceClient, repository: Path) -> None:
    number = client.repos.create(url=str(repository), provider="gitHub").id or 0
    with pytest.raises(BadRequest, match="none"):
        client.repos.update(number, branch="none")
    with pytest.raises(BadRequest, match="check-ref-format"):
        client.repos.update(number, branch="--upload-pack=x")
    with pytest.raises(InvalidParameterValue, match="Exactly one"):
        client.repos.update(number)


def test_changes_by_hand_are_kept_unless_all_are_discarded(
    workspace: Workspace, client: WorkspaceClient, repository: Path
) -> None:
    number = client.repos.create(url=str(repository), provider="gitHub").id or 0
    workspace.state().service(WorkspaceObjects).file(f"{HOME}/jobs/README.md").write_text("by hand")
    with pytest.raises(BadRequest, match="overwritten"):
        client.repos.update(number, tag="v1")
    assert readme(client) == "by hand"
    client.repos.update(number, tag="v1", dangerously_force_discard_all=True)
    assert readme(client) == "one"


def test_sparse_checkout_leaves_the_rest_out(client: WorkspaceClient, repository: Path) -> None:
    commit(repository, "big/data.csv", "1")
    client.repos.create(url=str(repository), provider="gitHub", sparse_checkout=SparseCheckout(patterns=["src"]))
    listed = {each.path for each in client.workspace.list(f"{HOME}/jobs")}
    assert f"{HOME}/jobs/src" in listed
    assert f"{HOME}/jobs/big" not in listed


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/a/b.git", "git@127.0.0.1:a/b.git", "ext::sh -c true", "jobs"])
def test_a_repository_elsewhere_is_refused_honestly(client: WorkspaceClient, url: str) -> None:
    with pytest.raises(BadRequest, match="reaches no Git provider"):
        client.repos.create(url=url, provider="gitHub")
    assert list(client.repos.list()) == []


def test_a_path_taken_missing_or_of_the_wrong_depth_is_refused(client: WorkspaceClient, repository: Path) -> None:
    client.repos.create(url=str(repository), provider="gitHub")
    with pytest.raises(ResourceAlreadyExists):
        client.repos.create(url=str(repository), provider="gitHub")
    with pytest.raises(InvalidParameterValue, match="/Repos/<folder>/<name>"):
        client.repos.create(url=str(repository), provider="gitHub", path="/Repos/a")
    with pytest.raises(ResourceDoesNotExist, match="parent folder"):
        client.repos.create(url=str(repository), provider="gitHub", path="/Repos/team/a")
    with pytest.raises(InvalidParameterValue, match="Git provider 'svn'"):
        client.repos.create(url=str(repository), provider="svn")
    with pytest.raises(BadRequest, match="no repository"):
        client.repos.create(url="/none/such", provider="gitHub")


def test_listing_goes_past_page_one_and_keeps_to_a_prefix(
    client_of_small_pages: WorkspaceClient, repository: Path
) -> None:
    client_of_small_pages.workspace.mkdirs("/Repos/team")
    for number in range(5):
        client_of_small_pages.repos.create(url=str(repository), provider="gitHub", path=f"/Repos/team/{number}")
    assert len(list(client_of_small_pages.repos.list())) == 5
    found = [repo.path for repo in client_of_small_pages.repos.list(path_prefix="/Workspace/Repos/team/3")]
    assert found == ["/Repos/team/3"]


def test_a_deleted_git_folder_is_gone_with_its_files(client: WorkspaceClient, repository: Path) -> None:
    number = client.repos.create(url=str(repository), provider="gitHub").id or 0
    client.repos.delete(number)
    with pytest.raises(NotFound):
        client.repos.get(number)
    with pytest.raises(ResourceDoesNotExist):
        client.workspace.get_status(f"{HOME}/jobs")


def test_credentials_are_kept_without_their_token(workspace: Workspace, client: WorkspaceClient) -> None:
    made = client.git_credentials.create("github", git_username="a", personal_access_token="hidden-7")
    assert (made.git_provider, made.is_default_for_provider) == ("gitHub", True)
    assert "hidden-7" not in str(workspace.state().dump())
    client.git_credentials.update(made.credential_id, "gitLab", git_username="b")
    changed = client.git_credentials.get(made.credential_id)
    assert (changed.git_provider, changed.git_username) == ("gitLab", "b")


def test_a_provider_has_one_credential_of_a_name_and_one_default(client: WorkspaceClient) -> None:
    first = client.git_credentials.create("gitHub")
    with pytest.raises(ResourceAlreadyExists):
        client.git_credentials.create("GITHUB")
    second = client.git_credentials.create("gitHub", name="deploy", is_default_for_provider=True)
    defaults = {each.credential_id: each.is_default_for_provider for each in client.git_credentials.list()}
    assert defaults == {first.credential_id: False, second.credential_id: True}
    client.git_credentials.delete(first.credential_id)
    with pytest.raises(ResourceDoesNotExist):
        client.git_credentials.get(first.credential_id)
