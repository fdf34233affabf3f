"""A runtime profile from a cluster: that of its Databricks Runtime, with the cluster's own settings."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from devkit.spark.runtime_diff import COMPARED, explanation, is_runtime
from devkit.spark.runtimes import SAME, RuntimeProfile, load_profile, load_profiles
from spark_utils.errors import ConfigurationError
from spark_utils.redaction import MASK

SHARED = ("kit.constraints.txt", "local-hub.lock")  # of the profiles' folder, for all of them


def write_profile(there: Mapping[str, str], file: Path) -> RuntimeProfile:
    """Write the profile of a cluster, with its lock and constraints beside it, into a folder of its own.

    What says how a cluster runs, and what cannot be had on one machine, is left out, as `differences` explains.

    Args:
        there: The cluster, as `read_dump` gives it.
        file: Where to: a file ``NAME.conf``.

    Raises:
        ConfigurationError: The dump names no runtime, or none that there is a profile of.
    """
    base = _base(there)
    local = {setting.key for setting in base.settings if setting.local_only}
    here = {setting.key: setting.value for setting in base.settings}
    own = {
        key: value
        for key, value in there.items()
        if key.startswith(COMPARED)
        and key not in local
        and value != MASK
        and not explanation(key, value, here.get(key, ""))
    }
    kept = [line for line in base.path.read_text(encoding="utf-8").splitlines() if line.split(" = ")[0] not in own]
    if not base.default:
        kept.insert(kept.index("[runtime]") + 1, "default = true")
    place = kept.index(f"[{SAME}]") + 1
    lines = [*kept[1:place], *(f"{key} = {value}" for key, value in own.items()), *kept[place:], ""]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([f"# {base.name}, as a cluster is set.", *lines]), encoding="utf-8")
    profile = load_profile(file)
    for source, target in ((base.lock, profile.lock), (base.constraints, profile.constraints)):
        shutil.copyfile(source, target)
    for name in SHARED:
        shutil.copyfile(base.path.with_name(name), file.with_name(name))
    return profile


def _base(there: Mapping[str, str]) -> RuntimeProfile:
    version, profiles = there.get("spark_version", ""), load_profiles().values()
    for profile in profiles:
        if is_runtime(version, profile):
            return profile
    raise ConfigurationError(
        f"there is no profile of the runtime {version!r}" if version else "the cluster's JSON has no spark_version",
        origin="the argument CLUSTER",
        remedy=f"Known runtimes: {', '.join(profile.databricks for profile in profiles)}.",
    )
