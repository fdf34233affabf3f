"""The kit's wheel: the laptop's side, with the data it needs, beside the job's and apart from the checkout."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

from devkit.spark.runtimes import default_profile
from tests.package.conftest import build
from tests.project import ROOT, known_files


def payload(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def run(program: Path, *arguments: str, cwd: Path) -> str:
    done = subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_kits_files_and_its_data(kit_wheel: Path) -> None:
    sources = {
        str(path.relative_to(ROOT / "kit/src")) for path in known_files() if path.is_relative_to(ROOT / "kit/src")
    }
    data = {f"devkit/spark/profiles/{path.name}" for path in (ROOT / "configuration/runtimes").iterdir()}
    data |= {f"devkit/storage/azurite_packages/{path.name}" for path in (ROOT / "configuration/azurite").iterdir()}
    assert payload(kit_wheel) == sources | data


def test_a_build_from_a_checkout_holds_the_same_as_one_from_the_source_archive(kit_wheel: Path, project: Path) -> None:
    assert payload(build("--wheel", "--outdir", "dist-checkout", "kit", project=project)) == payload(kit_wheel)


def test_both_wheels_run_apart_from_the_checkout(kit_environment: Path, tmp_path: Path) -> None:
    places = "import devkit, spark_utils; print(devkit.__file__, spark_utils.__file__)"
    for place in run(kit_environment / "python", "-c", places, cwd=tmp_path).split():
        assert Path(place).is_relative_to(kit_environment.parent)
    assert "usage: devkit" in run(kit_environment / "devkit", "--help", cwd=tmp_path)
    assert "18-lts" in run(kit_environment / "devkit", "runtime", "list", cwd=tmp_path)
    arguments = "--output-path somewhere --schema telemetry:INT --source files --source-path here --explain-config"
    assert "somewhere" in run(kit_environment / "streaming-job", *arguments.split(), cwd=tmp_path)


def test_the_installed_kit_finds_its_data(kit_environment: Path, tmp_path: Path) -> None:
    program = (
        "from devkit.spark import runtimes; from devkit.storage.azurite import LOCK\n"
        "print(runtimes.folder() / 'local-hub.lock'); print(LOCK)"
    )
    for file in run(kit_environment / "python", "-c", program, cwd=tmp_path).split():
        assert Path(file).is_file()
        assert Path(file).is_relative_to(kit_environment.parent)


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
