"""Instance pools; the ownership tag is a custom tag."""

from __future__ import annotations

from devkit.deploy.resources.base import Service


class InstancePools(Service):
    """Instance pools."""

    kind = "instance_pools"
    identity = "instance_pool_id"
