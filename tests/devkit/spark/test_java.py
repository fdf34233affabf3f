"""Java: found by JAVA_HOME or PATH, or one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from devkit.spark.java import find_java
from spark_utils.errors import RuntimeSetupError


def fake_java(home: Path, says: str, release: str = "") -> Path:
    (home / "bin").mkdir(parents=True)
    java = home / "bin" / "java"
    java.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    java.chmod(0o755)
    if release:
        (home / "release").write_text(release)
    return home


def test_java_home_goes_before_path(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "home", 'openjdk version "17.0.15" 2025-04-15')
    other = fake_java(tmp_path / "other", 'openjdk version "21" 2023-09-19')
    found = find_java(environment={"JAVA_HOME": str(home), "PATH": str(other / "bin")})
    assert (found.home, found.version) == (home, 17)


def test_a_java_on_path_is_followed_to_its_home(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "jdk", 'openjdk version "21" 2023-09-19')
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    found = find_java(environment={"PATH": str(tmp_path / "bin")})
    assert (found.home, found.version) == (home, 21)


def test_the_release_file_saves_starting_a_jvm(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "jdk", "not asked", 'JAVA_VERSION="17.0.15"\nIMPLEMENTOR="Debian"\n')
    found = find_java(environment={"JAVA_HOME": str(home)})
    assert found.version == 17
    assert "Debian" in found.build


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ('openjdk version "1.8.0_402"', "Java 8 was found, but Spark needs 17 or 21"),
        ('openjdk version "25" 2025-09-16', "Java 25 was found, but Spark needs 17 or 21"),
        ("No Java runtime present", "does not say its version: 'No Java runtime present'"),
    ],
)
def test_a_wrong_java_is_one_line_with_a_remedy(tmp_path: Path, says: str, message: str) -> None:
    home = fake_java(tmp_path / "jdk", says)
    with pytest.raises(RuntimeSetupError) as caught:
        find_java(environment={"JAVA_HOME": str(home)})
    assert message in str(caught.value)
    assert "environment variable JAVA_HOME" in str(caught.value)
    assert "Install OpenJDK 17 or 21" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_java_at_all_is_one_line_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(RuntimeSetupError, match=r"no Java was found .*JAVA_HOME and PATH.*Install OpenJDK"):
        find_java(environment={"PATH": str(tmp_path)})


def test_a_java_home_that_holds_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeSetupError, match=r"no Java at .*environment variable JAVA_HOME"):
        find_java(environment={"JAVA_HOME": str(tmp_path), "PATH": "/usr/bin"})
