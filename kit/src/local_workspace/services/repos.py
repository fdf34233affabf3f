"""Git folders: repositories of this machine, cloned into the workspace.

Source: https://docs.databricks.com/api/azure/workspace/repos
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from databricks.sdk.service.workspace import RepoInfo, SparseCheckout

from local_workspace.errors import ApiError, already_exists, invalid, not_found
from local_workspace.server.routing import Request, route
from local_workspace.server.state import Service
from local_workspace.services.git_credentials import provider
from local_workspace.services.workspace_objects import WorkspaceObjects, normal

SECONDS: Final = 120
# Links would let a repository point out of the workspace; other protocols would reach out of this machine.
SETTINGS: Final = ("-c", "core.symlinks=false", "-c", "protocol.allow=never", "-c", "protocol.file.allow=always")


class Repos(Service):
    """Git folders by id."""

    name = "repos"
    permission_kinds = ("repos",)

    def prepare(self) -> None:
        """Make the table."""
        self.repos = self.table("repos", RepoInfo)

    @route("POST", "2.0/repos", differs="clones only from a path or a file:// address of this machine, else 400")
    def create(self, request: Request) -> object:
        """Clone a repository into a folder, by default of the user's own in ``/Repos``."""
        url, chosen = str(request.required("url")), provider(request.required("provider"))
        source = _source(url)
        path = self._target(request.get("path"), url)
        sparse = SparseCheckout.from_dict(request.json.get("sparse_checkout") or {})
        folder = self._objects.file(path)
        git("clone", "--no-hardlinks", *(["--no-checkout"] if sparse.patterns else []), "--", source, str(folder))
        if sparse.patterns:
            git("sparse-checkout", "set", "--cone", "--", *sparse.patterns, folder=folder)
            git("checkout", folder=folder)
        info = self._objects.mark_repo(path)
        repo = RepoInfo(id=info.object_id, path=path, url=url, provider=chosen)
        repo.sparse_checkout = sparse if sparse.patterns else None
        self.repos[str(repo.id)] = _with_head(repo, folder)
        return repo

    @route("GET", "2.0/repos")
    def list_repos(self, request: Request) -> object:
        """Return a page of the Git folders, by id."""
        prefix = normal(request.get("path_prefix") or "/")
        found = [repo for repo in self.repos.values() if self._is_there(repo) and str(repo.path).startswith(prefix)]
        return request.listing("repos", found, token="next_page_token")  # noqa: S106  # the name of a parameter

    @route("GET", "2.0/repos/<int:repo_id>")
    def get(self, request: Request) -> object:
        """Return a Git folder with its branch and commit."""
        repo = self._repo(request)
        return _with_head(repo, self._objects.file(str(repo.path)))

    @route("PATCH", "2.0/repos/<int:repo_id>")
    def update(self, request: Request) -> object:
        """Check out the newest commit of a branch, or a tag; changed files that are in the way refuse it."""
        repo = self._repo(request)
        folder = self._objects.file(str(repo.path))
        branch, tag = request.get("branch"), request.get("tag")
        if bool(branch) == bool(tag):
            raise invalid("Exactly one of branch and tag must be given")
        git("check-ref-format", "--branch", str(branch or tag))
        git("fetch", "--tags", "--force", "--prune", "origin", folder=folder)
        if request.flag("dangerously_force_discard_all"):
            git("reset", "--hard", folder=folder)
            git("clean", "-fdx", folder=folder)
        if tag:
            git("checkout", "--detach", f"refs/tags/{tag}", folder=folder)
        else:
            git("checkout", str(branch), folder=folder)
            git("merge", "--ff-only", f"refs/remotes/origin/{branch}", folder=folder)
        _with_head(repo, folder)
        return None

    @route("DELETE", "2.0/repos/<int:repo_id>")
    def delete(self, request: Request) -> object:
        """Delete a Git folder with all that is in it."""
        repo = self._repo(request)
        shutil.rmtree(self._objects.file(str(repo.path)))
        del self.repos[str(repo.id)]
        return None

    def holds(self, kind: str, object_id: str) -> bool:  # noqa: ARG002  # one kind only
        """Return whether there is a Git folder of this id."""
        return object_id in self.repos and self._is_there(self.repos[object_id])

    @property
    def _objects(self) -> WorkspaceObjects:
        return self.state.service(WorkspaceObjects)

    def _is_there(self, repo: RepoInfo) -> bool:
        return self._objects.file(str(repo.path)).joinpath(".git").exists()

    def _target(self, asked: object, url: str) -> str:
        home = f"/Repos/{self.state.identity.user_name}"
        path = normal(asked or f"{home}/{url.rstrip('/').rpartition('/')[2].removesuffix('.git')}")
        parts = path.strip("/").split("/")
        if parts[0] == "Repos" and len(parts) != 3:
            raise invalid(f"A Git folder in /Repos is /Repos/<folder>/<name>, not {path}")
        if self._objects.exists(path):
            raise already_exists(f"{path} already exists")
        parent = path.rpartition("/")[0] or "/"
        if parent == home:
            self._objects.file(home).mkdir(parents=True, exist_ok=True)
        if not self._objects.exists(parent):
            raise not_found(f"The parent folder ({parent}) does not exist.")
        return path

    def _repo(self, request: Request) -> RepoInfo:
        number = str(request.path["repo_id"])
        if number not in self.repos or not self._is_there(self.repos[number]):
            raise not_found(f"Repo {number} could not be found")
        return self.repos[number]


def git(*arguments: str, folder: Path | None = None) -> str:
    """Run git and return what it printed.

    Raises:
        ApiError: 400 with git's own words when it fails.
    """
    place = ["-C", str(folder)] if folder else []
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *SETTINGS, *place, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise ApiError(400, "BAD_REQUEST", f"git {arguments[0]} could not be run: {error}") from None
    if done.returncode:
        raise ApiError(400, "BAD_REQUEST", f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def _source(url: str) -> str:
    if not url.startswith(("file:///", "/")):
        remedy = "Clone it yourself and pass that folder's path, or a file:// address"
        raise ApiError(
            400, "BAD_REQUEST", f"The local workspace reaches no Git provider, so it cannot clone {url!r}. {remedy}."
        )
    if not Path(url.removeprefix("file://")).exists():
        raise ApiError(400, "BAD_REQUEST", f"There is no repository at {url!r} on this machine")
    return url


def _with_head(repo: RepoInfo, folder: Path) -> RepoInfo:
    """Fill in branch and commit; a detached head has no branch, an empty repository no commit."""
    repo.branch = git("branch", "--show-current", folder=folder) or None
    repo.head_commit_id = git("rev-list", "-1", "--all", folder=folder) and git("rev-parse", "HEAD", folder=folder)
    return repo
