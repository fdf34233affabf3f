"""Instance pools, cluster policies, clusters with their libraries, and global init scripts."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterable
from typing import Any, Final

from devkit.deploy.client import create_once, wait_until
from devkit.deploy.kinds.base import (
    Context,
    Operations,
    Recording,
    call,
    each,
    gone,
    owner_in,
    tagged,
    without_tag,
)
from devkit.deploy.model import Action, Found, Json, Owner, Wanted

SETTLED: Final = ("RUNNING", "TERMINATED", "ERROR", "UNKNOWN")
HEADER: Final = "# deployed by "  # the line of a global init script that says whose it is


class InstancePools(Operations):
    """Instance pools; the ownership tag is a custom tag."""

    kind = "instance_pools"

    def record(self, recording: Recording) -> Iterable[Found]:
        """Return the pools."""
        for pool in recording.client.instance_pools.list():
            body = pool.as_dict()
            owner = owner_in(body.get("custom_tags"))
            body["custom_tags"] = without_tag(body.get("custom_tags"))
            yield Found(self.kind, str(pool.instance_pool_id), str(pool.instance_pool_name), body, owner)

    def make(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> str:
        """Create a pool."""
        sent = {**body, "custom_tags": tagged(body.get("custom_tags"), context.owner(wanted))}
        made = context.client.instance_pools.create(**call("compute:InstancePoolsAPI.create", sent))
        return str(made.instance_pool_id)

    def update(self, context: Context, action: Action, body: dict[str, Json]) -> None:
        """Edit a pool."""
        wanted, found = _pair(action)
        sent = {**body, "custom_tags": tagged(body.get("custom_tags"), context.owner(wanted))}
        known = call("compute:InstancePoolsAPI.edit", sent)
        context.client.instance_pools.edit(**{**known, "instance_pool_id": found.id})

    def delete(self, context: Context, found: Found) -> None:
        """Delete a pool."""
        gone(lambda: context.client.instance_pools.delete(found.id))


class ClusterPolicies(Operations):
    """Cluster policies; the ownership tag stands at the end of the description."""

    kind = "cluster_policies"

    def record(self, recording: Recording) -> Iterable[Found]:
        """Return the policies, their definitions as mappings."""
        for policy in recording.client.cluster_policies.list():
            body = policy.as_dict()
            for name in ("definition", "policy_family_definition_overrides"):
                body[name] = json.loads(body[name]) if body.get(name) else None
            owner, description = Owner.within(policy.description)
            body["description"] = description if owner else policy.description
            yield Found(self.kind, str(policy.policy_id), str(policy.name), body, owner)

    def make(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> str:
        """Create a policy."""
        sent = self._sent(context, wanted, body)
        return str(context.client.cluster_policies.create(**call("compute:ClusterPoliciesAPI.create", sent)).policy_id)

    def update(self, context: Context, action: Action, body: dict[str, Json]) -> None:
        """Edit a policy."""
        wanted, found = _pair(action)
        sent = self._sent(context, wanted, body)
        context.client.cluster_policies.edit(**{**call("compute:ClusterPoliciesAPI.edit", sent), "policy_id": found.id})

    def delete(self, context: Context, found: Found) -> None:
        """Delete a policy."""
        gone(lambda: context.client.cluster_policies.delete(found.id))

    def _sent(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> dict[str, Json]:
        texts = {
            name: json.dumps(value, sort_keys=True)
            for name, value in body.items()
            if name in ("definition", "policy_family_definition_overrides") and isinstance(value, dict)
        }
        description = f"{body.get('description') or ''} [{context.owner(wanted)}]".strip()
        return {**body, **texts, "description": description}


class Clusters(Operations):
    """Clusters that people share; those that jobs and pipelines bring for themselves are none of ours."""

    kind = "clusters"

    def record(self, recording: Recording) -> Iterable[Found]:
        """Return the clusters, each with its libraries."""
        installed = {
            str(status.cluster_id): [lib.as_dict()["library"] for lib in status.library_statuses or [] if _kept(lib)]
            for status in recording.client.libraries.all_cluster_statuses()
        }
        for cluster in recording.client.clusters.list():
            body = cluster.as_dict()
            if body.get("cluster_source") in ("JOB", "PIPELINE", "PIPELINE_MAINTENANCE", "SQL"):
                continue
            owner = owner_in(body.get("custom_tags"))
            body["custom_tags"] = without_tag(body.get("custom_tags"))
            body["libraries"] = installed.get(str(cluster.cluster_id), [])
            yield Found(self.kind, str(cluster.cluster_id), str(cluster.cluster_name), body, owner)

    def create(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> str:
        """Create a cluster; a token makes the service give the same cluster to the same call."""
        token = uuid.uuid4().hex

        def make() -> str:
            sent = {**self._sent(context, wanted, body), "idempotency_token": token}
            made: Any = context.client.api_client.do("POST", "/api/2.1/clusters/create", body=sent)
            return str(made["cluster_id"])

        identity = create_once(make, lambda: self.look(context, wanted), context.clock)
        self._install(context, identity, body.get("libraries") or [], [])
        return identity

    def update(self, context: Context, action: Action, body: dict[str, Json]) -> None:
        """Edit a cluster if more than its libraries differ, because an edit restarts it."""
        wanted, found = _pair(action)
        paths = [change.path.partition("[")[0] for change in action.changes]
        if not paths or any(path != "libraries" for path in paths) or found.owner != context.owner(wanted):
            known = call("compute:ClustersAPI.edit", self._sent(context, wanted, body))
            self._settle(context, found)
            context.client.clusters.edit(**{**known, "cluster_id": found.id})
        self._install(context, found.id, body.get("libraries") or [], found.body.get("libraries") or [])

    def delete(self, context: Context, found: Found) -> None:
        """Delete a cluster for good."""
        gone(lambda: context.client.clusters.permanent_delete(found.id))

    def _sent(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> dict[str, Json]:
        settings = {name: value for name, value in body.items() if name != "libraries"}
        return {**settings, "custom_tags": tagged(body.get("custom_tags"), context.owner(wanted))}

    def _settle(self, context: Context, found: Found) -> None:
        """Wait until a cluster can be edited: the service refuses it while one starts or ends."""
        if str(found.body.get("state")) in SETTLED:
            return
        wait_until(
            lambda: context.client.clusters.get(found.id),
            lambda cluster: cluster.state is not None and cluster.state.value in SETTLED,
            what=f"the cluster {found.name!r} to settle",
            clock=context.clock,
        )

    def _install(self, context: Context, identity: str, wanted: list[Json], found: list[Json]) -> None:
        from databricks.sdk.service.compute import Library

        more = [Library.from_dict(library) for library in wanted if library not in found]
        fewer = [Library.from_dict(library) for library in found if library not in wanted]
        if fewer:
            context.client.libraries.uninstall(identity, fewer)
        if more:
            context.client.libraries.install(identity, more)


class GlobalInitScripts(Operations):
    """Global init scripts; the ownership tag is a comment beneath the first line."""

    kind = "global_init_scripts"

    def record(self, recording: Recording) -> Iterable[Found]:
        """Return the scripts with their text."""
        api = recording.client.global_init_scripts
        for script in each(lambda listed: api.get(str(listed.script_id)), api.list()):
            text = base64.b64decode(script.script or "").decode(errors="replace")
            lines = text.splitlines(keepends=True)
            owner = next((_header(line) for line in lines[:2] if line.startswith(HEADER)), None)
            bare = "".join(line for line in lines if not (owner and line.startswith(HEADER)))
            body = {"name": script.name, "enabled": script.enabled, "position": script.position, "script": bare}
            yield Found(self.kind, str(script.script_id), str(script.name), body, owner)

    def make(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> str:
        """Create a script."""
        made = context.client.global_init_scripts.create(**self._sent(context, wanted, body))
        return str(made.script_id)

    def update(self, context: Context, action: Action, body: dict[str, Json]) -> None:
        """Change a script."""
        wanted, found = _pair(action)
        context.client.global_init_scripts.update(found.id, **self._sent(context, wanted, body))

    def delete(self, context: Context, found: Found) -> None:
        """Delete a script."""
        gone(lambda: context.client.global_init_scripts.delete(found.id))

    def _sent(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> dict[str, Any]:
        lines = str(body["script"]).splitlines(keepends=True)
        at = 1 if lines and lines[0].startswith("#!") else 0
        text = "".join([*lines[:at], f"{HEADER}{context.owner(wanted)}\n", *lines[at:]])
        sent = {"name": body["name"], "script": base64.b64encode(text.encode()).decode()}
        return {**sent, **{name: body[name] for name in ("enabled", "position") if name in body}}


def _header(line: str) -> Owner | None:
    return Owner.parse(line.removeprefix(HEADER).strip())


def _pair(action: Action) -> tuple[Wanted, Found]:
    assert action.wanted is not None  # noqa: S101  # an update has both
    assert action.found is not None  # noqa: S101
    return action.wanted, action.found


def _kept(library: Any) -> bool:
    return str(getattr(library.status, "value", library.status)) != "UNINSTALL_ON_RESTART"
