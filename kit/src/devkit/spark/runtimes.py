"""Runtime profiles: what one Databricks Runtime is made of, as data in ``configuration/runtimes/<name>.conf``."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterable
from configparser import ConfigParser, Error
from dataclasses import dataclass
from pathlib import Path

from spark_utils.errors import RuntimeSetupError
from spark_utils.names import nearest

FOLDER_VARIABLE = "SPARK_DEVKIT_RUNTIMES"
SAME = "same as Databricks"
LOCAL = "local only"
SECTIONS = ("runtime", "jars", SAME, LOCAL)
REQUIRED = ("databricks", "spark", "scala", "delta", "hadoop", "java", "python")
OPTIONAL = ("default",)


@dataclass(frozen=True)
class Setting:
    """A Spark setting of a profile.

    Attributes:
        key: Such as ``spark.sql.session.timeZone``.
        value: Its value.
        local_only: Whether it differs from Databricks on purpose.
        reason: Why it differs, or where it is said that it does not.
    """

    key: str
    value: str
    local_only: bool
    reason: str = ""


@dataclass(frozen=True)
class RuntimeProfile:
    """One Databricks Runtime.

    Attributes:
        path: The file it was read from.
        databricks: The runtime's name at Databricks, such as ``18 LTS``.
        default: Whether it is taken when nothing else decides.
        spark: Version of Spark and of pyspark.
        scala: Version of Scala that jars are built for.
        delta: Version of Delta.
        hadoop: Version of Hadoop that this Spark carries.
        java: Major versions of Java that it runs on.
        python: Version of Python on the cluster.
        coordinates: The jars, as ``group:artifact:version``.
        settings: The Spark settings.
    """

    path: Path
    databricks: str
    default: bool
    spark: str
    scala: str
    delta: str
    hadoop: str
    java: tuple[int, ...]
    python: str
    coordinates: tuple[str, ...]
    settings: tuple[Setting, ...]

    @property
    def name(self) -> str:
        """The file's name without its ending, such as ``18-lts``."""
        return self.path.stem

    @property
    def lock(self) -> Path:
        """The lock of its jars."""
        return self.path.with_suffix(".lock")

    @property
    def constraints(self) -> Path:
        """The Python packages it is tested with, as a constraints file of pip."""
        return self.path.with_name(f"{self.name}.constraints.txt")


def folder() -> Path:
    """Return the folder of the profiles: ``SPARK_DEVKIT_RUNTIMES``, or the shipped one (in a checkout a link)."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen) if chosen else Path(__file__).with_name("profiles").resolve()


def load_profile(path: Path) -> RuntimeProfile:
    """Read a profile.

    Raises:
        RuntimeSetupError: The file is malformed; all its mistakes are named at once.
    """
    parser = ConfigParser(
        allow_no_value=True, delimiters=("=",), comment_prefixes=("#",), interpolation=None, strict=True
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case
    try:
        parser.read_string(path.read_text(encoding="utf-8"), source=str(path))
    except (OSError, Error) as error:
        raise RuntimeSetupError(f"a runtime profile cannot be read: {error}", origin=str(path)) from error
    problems = [_unknown("section", name, SECTIONS) for name in parser.sections() if name not in SECTIONS]
    runtime = dict(parser["runtime"]) if parser.has_section("runtime") else {}
    problems += [_unknown("key", k, REQUIRED + OPTIONAL) for k in runtime if k not in REQUIRED + OPTIONAL]
    problems += [f"{key!r} is missing from [runtime]" for key in REQUIRED if not runtime.get(key)]
    if not all(version.isdigit() for version in runtime.get("java", "").split()):
        problems.append(f"java = {runtime['java']!r} is not a list of major versions")
    settings = [*_settings(parser, SAME, problems), *_settings(parser, LOCAL, problems)]
    if problems:
        raise RuntimeSetupError(
            "; ".join(problems), origin=str(path), remedy="Correct the profile; the others show how it is written."
        )
    return RuntimeProfile(
        path=path,
        default=runtime.pop("default", "false") == "true",
        java=tuple(int(version) for version in runtime.pop("java").split()),
        coordinates=tuple(parser["jars"]) if parser.has_section("jars") else (),
        settings=tuple(settings),
        **runtime,
    )


def _settings(parser: ConfigParser, section: str, problems: list[str]) -> Iterable[Setting]:
    for key, text in parser.items(section) if parser.has_section(section) else ():
        value, _, reason = (text or "").partition("  # ")
        if not value:
            problems.append(f"{key!r} has no value in [{section}]")
        elif section == LOCAL and not reason:
            problems.append(f"{key!r} differs from Databricks without saying why (`value  # reason`)")
        yield Setting(key, value.strip(), section == LOCAL, reason.strip())


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"unknown {what} {name!r}" + (f" (did you mean {near!r}?)" if near else "")


def load_profiles() -> dict[str, RuntimeProfile]:
    """Read all profiles, by name."""
    profiles = {path.stem: load_profile(path) for path in sorted(folder().glob("*.conf"))}
    if not profiles:
        raise RuntimeSetupError(
            f"no runtime profile in {folder()}",
            remedy=f"Point {FOLDER_VARIABLE} at a folder `configuration/runtimes`.",
        )
    return profiles


def find_profile(name: str) -> RuntimeProfile:
    """Return the profile of that name."""
    profiles = load_profiles()
    if name not in profiles:
        raise RuntimeSetupError(_unknown("runtime", name, profiles), remedy=f"Known: {', '.join(profiles)}.")
    return profiles[name]


def default_profile() -> RuntimeProfile:
    """Return the profile that says `default = true`."""
    return next(profile for profile in load_profiles().values() if profile.default)


def profile_of_spark(version: str) -> RuntimeProfile:
    """Return the profile of an installed pyspark.

    Raises:
        RuntimeSetupError: No profile has this version of Spark.
    """
    profiles = load_profiles().values()
    for profile in profiles:
        if profile.spark == version:
            return profile
    known = ", ".join(f"{profile.spark} ({profile.name})" for profile in profiles)
    wanted = default_profile()
    raise RuntimeSetupError(
        f"no runtime profile has Spark {version}; known are {known}",
        origin="the installed pyspark",
        remedy=f"Install pyspark=={wanted.spark} delta-spark=={wanted.delta}, or add a profile in {folder()}.",
    )


def installed_profile() -> RuntimeProfile:
    """Return the profile of the installed pyspark."""
    installed_spark()
    return profile_of_spark(importlib.metadata.version("pyspark"))


def installed_spark() -> Path:
    """Return the folder of the installed pyspark, which is also its ``SPARK_HOME``."""
    found = importlib.util.find_spec("pyspark")
    if found is None or found.origin is None:
        wanted = default_profile()
        raise RuntimeSetupError(
            "pyspark is not installed",
            origin=sys.prefix,
            remedy=f"Install pyspark=={wanted.spark} delta-spark=={wanted.delta}, or the extra [local].",
        )
    return Path(found.origin).parent
