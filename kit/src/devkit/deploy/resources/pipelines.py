"""Pipelines; the ownership tag is a tag, which only their settings show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from devkit.deploy.resources.base import Recording, Service, concurrently


class Pipelines(Service):
    """Pipelines."""

    kind = "pipelines"
    identity = "pipeline_id"
    tags = "tags"

    def listed(self, recording: Recording) -> Iterable[dict[str, Any]]:
        """Return the settings of the pipelines."""
        api = recording.client.pipelines
        for one in concurrently(lambda listed: api.get(str(listed.pipeline_id)), api.list_pipelines()):
            spec = one.spec.as_dict() if one.spec else {}
            yield {**spec, "pipeline_id": one.pipeline_id, "name": one.name}
