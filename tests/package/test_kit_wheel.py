"""The kit's wheel: the laptop's side, with the data it needs, beside the job's."""

from __future__ import annotations

from pathlib import Path

from devkit.spark.runtimes import default_profile
from tests.project import ROOT, known_files, wheel_payload


def test_the_wheel_holds_the_kits_files_and_its_data(kit_wheel: Path) -> None:
    sources = {
        str(path.relative_to(ROOT / "kit/src")) for path in known_files() if path.is_relative_to(ROOT / "kit/src")
    }
    data = {f"devkit/spark/profiles/{path.name}" for path in (ROOT / "configuration/runtimes").iterdir()}
    data |= {f"devkit/storage/azurite_packages/{path.name}" for path in (ROOT / "configuration/azurite").iterdir()}
    assert wheel_payload(kit_wheel) == sources | data


def test_the_runtime_that_the_sample_deploys_is_the_default_one() -> None:
    (version,) = [
        line.partition(":")[2].strip()
        for line in (ROOT / "configuration/deploy/resources/compute.yml").read_text().splitlines()
        if line.startswith("  spark_version:")
    ]
    profile = default_profile()
    release = profile.databricks.removesuffix(" LTS")
    assert version.startswith(f"{release}.")
    assert version.endswith(f"-scala{profile.scala}")
