"""What can be chosen for a cluster: node types and runtimes of any cloud; those of Azure are listed.

Sources: https://learn.microsoft.com/azure/virtual-machines/sizes and
https://learn.microsoft.com/azure/databricks/release-notes/runtime/
"""

from __future__ import annotations

import re
from typing import Final

from databricks.sdk.service.compute import (
    CloudProviderNodeInfo,
    NodeInstanceType,
    NodeType,
    SparkVersion,
)

from local_workspace.errors import invalid

GENERAL, MEMORY, COMPUTE, STORAGE, GPU = (
    "General Purpose",
    "Memory Optimized",
    "Compute Optimized",
    "Storage Optimized",
    "GPU Accelerated",
)

# Name, category, cores, memory in MB, local disk in GB, GPUs.
_SIZES: Final = (
    ("Standard_DS3_v2", GENERAL, 4, 14336, 28, 0),
    ("Standard_DS4_v2", GENERAL, 8, 28672, 56, 0),
    ("Standard_DS5_v2", GENERAL, 16, 57344, 112, 0),
    ("Standard_D4s_v3", GENERAL, 4, 16384, 32, 0),
    ("Standard_D8s_v3", GENERAL, 8, 32768, 64, 0),
    ("Standard_D4s_v5", GENERAL, 4, 16384, 0, 0),
    ("Standard_D8s_v5", GENERAL, 8, 32768, 0, 0),
    ("Standard_D16s_v5", GENERAL, 16, 65536, 0, 0),
    ("Standard_D4ds_v4", GENERAL, 4, 16384, 150, 0),
    ("Standard_D4ds_v5", GENERAL, 4, 16384, 150, 0),
    ("Standard_D8ds_v5", GENERAL, 8, 32768, 300, 0),
    ("Standard_D16ds_v5", GENERAL, 16, 65536, 600, 0),
    ("Standard_D4ads_v5", GENERAL, 4, 16384, 150, 0),
    ("Standard_D8ads_v5", GENERAL, 8, 32768, 300, 0),
    ("Standard_D4as_v5", GENERAL, 4, 16384, 0, 0),
    ("Standard_D8as_v5", GENERAL, 8, 32768, 0, 0),
    ("Standard_DS12_v2", MEMORY, 4, 28672, 56, 0),
    ("Standard_DS13_v2", MEMORY, 8, 57344, 112, 0),
    ("Standard_DS14_v2", MEMORY, 16, 114688, 224, 0),
    ("Standard_E4s_v5", MEMORY, 4, 32768, 0, 0),
    ("Standard_E8s_v5", MEMORY, 8, 65536, 0, 0),
    ("Standard_E4ds_v4", MEMORY, 4, 32768, 150, 0),
    ("Standard_E8ds_v4", MEMORY, 8, 65536, 300, 0),
    ("Standard_E4ds_v5", MEMORY, 4, 32768, 150, 0),
    ("Standard_E8ds_v5", MEMORY, 8, 65536, 300, 0),
    ("Standard_E16ds_v5", MEMORY, 16, 131072, 600, 0),
    ("Standard_F4s", COMPUTE, 4, 8192, 16, 0),
    ("Standard_F8s", COMPUTE, 8, 16384, 32, 0),
    ("Standard_F8s_v2", COMPUTE, 8, 16384, 64, 0),
    ("Standard_F16s_v2", COMPUTE, 16, 32768, 128, 0),
    ("Standard_L4s", STORAGE, 4, 32768, 678, 0),
    ("Standard_L8s_v3", STORAGE, 8, 65536, 1788, 0),
    ("Standard_L8as_v3", STORAGE, 8, 65536, 1788, 0),
    ("Standard_NC4as_T4_v3", GPU, 4, 28672, 176, 1),
    ("Standard_NC6s_v3", GPU, 6, 114688, 736, 1),
)

# Release, whether it has long-term support, its Spark, its versions of Scala; the newest first.
_RUNTIMES: Final = (
    ("19.0", False, "4.2.0", ("2.13",)),
    ("18.2", True, "4.1.0", ("2.13",)),
    ("18.1", False, "4.1.0", ("2.13",)),
    ("18.0", False, "4.1.0", ("2.13",)),
    ("17.3", True, "4.0.0", ("2.13",)),
    ("16.4", True, "3.5.2", ("2.13", "2.12")),
    ("15.4", True, "3.5.0", ("2.12",)),
    ("14.3", True, "3.5.0", ("2.12",)),
    ("13.3", True, "3.4.1", ("2.12",)),
)
ZONES: Final = ("1", "2", "3")


def _node_type(order: int, name: str, category: str, cores: int, memory_mb: int, disk_gb: int, gpus: int) -> NodeType:
    family = name.removeprefix("Standard_").rstrip("0123456789")
    return NodeType(
        node_type_id=name,
        memory_mb=memory_mb,
        num_cores=float(cores),
        description=name,
        instance_type_id=name,
        category=category,
        display_order=order,
        is_deprecated=False,
        is_encrypted_in_transit=False,
        is_graviton=False,
        is_hidden=False,
        is_io_cache_enabled=family.startswith("L"),
        node_info=CloudProviderNodeInfo(status=[]),
        node_instance_type=NodeInstanceType(
            instance_type_id=name,
            local_disk_size_gb=disk_gb,
            local_disks=1 if disk_gb else 0,
            local_nvme_disk_size_gb=0,
            local_nvme_disks=0,
        ),
        num_gpus=gpus,
        photon_driver_capable=cores >= 4 and not gpus,
        photon_worker_capable=cores >= 4 and not gpus,
        support_cluster_tags=True,
        support_ebs_volumes=True,
        support_port_forwarding=True,
    )


def _versions() -> list[SparkVersion]:
    found = []
    for release, long_term, spark, scalas in _RUNTIMES:
        for scala in scalas:
            support = " LTS" if long_term else ""
            includes = f"includes Apache Spark {spark}, {{}}Scala {scala}"
            for variant, words in (("", ""), ("cpu-ml-", " ML"), ("gpu-ml-", " ML"), ("photon-", " Photon")):
                more = "GPU, " if variant.startswith("gpu") else ""
                name = f"{release}{support}{words} ({includes.format(more)})"
                found.append(SparkVersion(key=f"{release}.x-{variant}scala{scala}", name=name))
    return found


NODE_TYPES: Final = {size[0]: _node_type(order, *size) for order, size in enumerate(_SIZES)}
SPARK_VERSIONS: Final = _versions()
# Azure, AWS, Google Cloud.
_NODE_NAMES: Final = tuple(
    map(re.compile, (r"Standard_[A-Z]\w+", r"[a-z][a-z0-9-]*\.[a-z0-9-]+", r"[a-z]\d[a-z]?-[a-z0-9-]+"))
)
_VERSION: Final = re.compile(r"\d{1,2}(?:\.\d)?\.x-(?:[a-z0-9]+-)*scala2\.1\d|(?:custom|dlt):\S+")
# What a policy may write instead of a version.
_AUTOMATIC: Final = {
    "auto:latest": "19.0.x-scala2.13",
    "auto:latest-lts": "18.2.x-scala2.13",
    "auto:latest-ml": "19.0.x-cpu-ml-scala2.13",
    "auto:latest-lts-ml": "18.2.x-cpu-ml-scala2.13",
    "auto:prev-lts": "17.3.x-scala2.13",
}


def spark_version(asked: str | None) -> str:
    """Return the key of a runtime, ``auto:…`` resolved; one that is not listed here must look like one.

    Raises:
        ApiError: 400 when no such runtime can exist.
    """
    key = _AUTOMATIC.get(asked or "", asked or "")
    if not _VERSION.fullmatch(key):
        raise invalid(f"Invalid spark version {asked}. `clusters/spark-versions` lists those that exist.")
    return key


def node_type(asked: str | None) -> NodeType:
    """Return a node type; one that is not listed here must look like one, and counts as 4 cores with 16 GiB.

    Raises:
        ApiError: 400 when no cloud can have one of that name.
    """
    if not asked:
        raise invalid("node_type_id is missing: give one, or an instance_pool_id")
    name = asked
    if not any(pattern.fullmatch(name) for pattern in _NODE_NAMES):
        examples = "Standard_D4ds_v5 (Azure), i3.xlarge (AWS), n2-highmem-4 (Google Cloud)"
        raise invalid(f"Node type {asked} is not supported. A node type is written like {examples}")
    return NODE_TYPES.get(name) or _node_type(len(NODE_TYPES), name, GENERAL, 4, 16384, 0, 0)


def is_azure(node_type_id: str) -> bool:
    """Return whether a node type is one of Azure's."""
    return _NODE_NAMES[0].fullmatch(node_type_id) is not None
