"""Find a Java that Spark runs on, or say in one line what is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spark_utils.errors import RuntimeSetupError

INSTALL = (
    "Install OpenJDK {versions} (Debian, Ubuntu: `apt install openjdk-17-jdk-headless`; "
    "macOS: `brew install openjdk@17`)"
)

# Quick to start and small: one client compiler, a serial collector, no shared performance counters.
SMALL_JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")


def own_environment(class_path: str) -> dict[str, str]:
    """Return the environment to run a program in, without Java options meant for other programs."""
    ours = {name: value for name, value in os.environ.items() if name not in ("_JAVA_OPTIONS", "JDK_JAVA_OPTIONS")}
    return ours | {"CLASSPATH": class_path}


@dataclass(frozen=True)
class Java:
    """A Java installation.

    Attributes:
        home: Its folder, for ``JAVA_HOME``.
        version: Its major version.
        build: Its full version and vendor, which tell two builds apart.
    """

    home: Path
    version: int
    build: str


def find_java(versions: tuple[int, ...] = (17, 21), environment: Mapping[str, str] | None = None) -> Java:
    """Return the Java of ``JAVA_HOME``, else of ``PATH``.

    Args:
        versions: The major versions that will do.
        environment: The environment variables; those of this process by default.

    Raises:
        RuntimeSetupError: There is none, it does not start, or its version will not do.
    """
    variables = os.environ if environment is None else environment
    remedy = f"{INSTALL.format(versions=' or '.join(map(str, versions)))} or point JAVA_HOME at one."
    if variables.get("JAVA_HOME"):
        home, origin = Path(variables["JAVA_HOME"]), "environment variable JAVA_HOME"
        if not os.access(home / "bin" / "java", os.X_OK):
            raise RuntimeSetupError(f"there is no Java at {home}/bin/java", origin=origin, remedy=remedy)
    else:
        found = shutil.which("java", path=variables.get("PATH", ""))
        if not found:
            raise RuntimeSetupError("no Java was found", origin="JAVA_HOME and PATH", remedy=remedy)
        home, origin = Path(found).resolve().parents[1], f"PATH: {found}"
    java = _inspect(home, origin, remedy)
    if java.version not in versions:
        raise RuntimeSetupError(
            f"Java {java.version} was found, but Spark needs {' or '.join(map(str, versions))}",
            origin=origin,
            remedy=remedy,
        )
    return java


def _inspect(home: Path, origin: str, remedy: str) -> Java:
    release = _release(home)
    text = f'version "{release["JAVA_VERSION"]}"' if "JAVA_VERSION" in release else _ask(home)
    number = re.search(r'version "(?:1\.)?(\d+)', text)
    if not number:
        problem = f"{home}/bin/java does not say its version: {text.strip()[:200]!r}"
        raise RuntimeSetupError(problem, origin=origin, remedy=remedy)
    build = " ".join(release[key] for key in sorted(release) if key != "MODULES") or text.strip()
    return Java(home, int(number[1]), build)


def _release(home: Path) -> dict[str, str]:
    """Read the ``release`` file that every JDK since 9 carries: half a second less than asking the JVM."""
    try:
        lines = (home / "release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines) if value}


def _ask(home: Path) -> str:
    try:
        done = subprocess.run(
            [str(home / "bin" / "java"), "-version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stderr or done.stdout
