"""Git folders, owned by where they lie."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from devkit.deploy.declaration.model import Desired, Json, plain_path
from devkit.deploy.plan.model import Actual
from devkit.deploy.resources.base import Context, Recording, Resource, gone


class Repos(Resource):
    """Git folders."""

    kind = "repos"

    def record(self, recording: Recording) -> Iterable[Actual]:
        """Return the Git folders."""
        for repo in recording.client.repos.list():
            yield Actual(self.kind, str(repo.id), str(repo.path), repo.as_dict())

    def create(self, context: Context, desired: Desired, body: dict[str, Json]) -> str:
        """Clone a repository exactly once, then check out its branch or tag."""
        identity = super().create(context, desired, body)
        self._check_out(context, identity, body)
        return identity

    def make(self, context: Context, desired: Desired, body: dict[str, Json]) -> str:
        """Clone a repository."""
        context.client.workspace.mkdirs(str(PurePosixPath(desired.name).parent))
        return str(context.client.repos.create(body["url"], body["provider"], path=desired.name).id)

    def look(self, context: Context, desired: Desired) -> str | None:
        """Find a Git folder by its path."""
        same = (
            each.id
            for each in self.record(Recording(context.client))
            if plain_path(each.name) == plain_path(desired.name)
        )
        return next(same, None)

    def update(self, context: Context, desired: Desired, actual: Actual, body: dict[str, Json]) -> None:  # noqa: ARG002  # only the branch or tag changes
        """Check out another branch or tag."""
        self._check_out(context, actual.id, body)

    def delete(self, context: Context, actual: Actual) -> None:
        """Delete a Git folder."""
        gone(lambda: context.client.repos.delete(int(actual.id)))

    def _check_out(self, context: Context, identity: str, body: dict[str, Json]) -> None:
        if body.get("branch") or body.get("tag"):
            context.client.repos.update(int(identity), branch=body.get("branch"), tag=body.get("tag"))
