"""`devkit doctor`: whether this machine and this project can run the job, and what differs from the runtime profile."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from devkit import cache
from spark_utils.errors import SparkUtilsError
from spark_utils.names import counted

if TYPE_CHECKING:
    from devkit.spark.runtimes import RuntimeProfile

Level = Literal["ok", "note", "problem"]
MARKS: dict[Level, tuple[str, str]] = {"ok": ("✓", "green"), "note": ("!", "yellow"), "problem": ("✗", "bold red")}
LEAST_DISK, LEAST_MEMORY = 2e9, 3e9  # bytes: jars, archive and tables; a driver of 2 GB and what is beside it
FOREIGN = {
    "SPARK_HOME": "another Spark than the installed pyspark may be meant; local sessions take pyspark's own",
    "SPARK_CONF_DIR": "the Spark configuration is your own: the profile's settings, jars and logging are not used",
    "SPARK_REMOTE": "every session attaches to that server; no local Spark is started",
    "PYSPARK_SUBMIT_ARGS": "its options are added to those of local sessions",
    "JAVA_TOOL_OPTIONS": "its options change every JVM, and each says so on the terminal",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: Whether it is as it should be, worth knowing, or in the way.
        text: What was found.
        remedy: What to do about it; empty when nothing is to be done.
    """

    level: Level
    text: str
    remedy: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb, which takes no arguments."""
    parser.set_defaults(run=_doctor)


def _doctor(_arguments: argparse.Namespace) -> int:
    from rich.console import Console

    console = Console(highlight=False)
    found = []
    for finding in examine():
        found.append(finding.level)
        mark, style = MARKS[finding.level]
        console.print(
            f"{mark} {finding.text}", style=style if finding.level == "problem" else "", markup=False, soft_wrap=True
        )
        if finding.remedy:
            console.print(f"  → {finding.remedy}", style="dim", markup=False, soft_wrap=True)
    problems, notes = found.count("problem"), found.count("note")
    told = f"{counted(problems, 'problem')}, {counted(notes, 'note')}, {found.count('ok')} in order"
    console.print(told, style="bold")
    return 1 if problems else 0


def examine() -> Iterator[Finding]:
    """Look at everything, one after the other; a check that fails is a finding, not the end."""
    for check in (java, python, jars, start, ports, disk_and_memory, variables, job):
        try:
            yield from check()
        except SparkUtilsError as error:
            told = f"{error.problem}{f' (from {error.origin})' if error.origin else ''}"
            yield Finding("problem", told, error.remedy or "")


def _profile() -> RuntimeProfile:
    from devkit.spark.runtimes import installed_profile

    return installed_profile()


def java() -> Iterator[Finding]:
    """Look for a Java that Spark runs on."""
    from devkit.spark.java import find_java

    found = find_java(_profile().java)
    yield Finding("ok", f"Java {found.version} at {found.home}")


def python() -> Iterator[Finding]:
    """Compare Python and its packages with those that the profile is tested with."""
    profile = _profile()
    yield Finding(
        "ok", f"Spark {profile.spark}, so the profile {profile.name}: Databricks Runtime {profile.databricks}"
    )
    here = ".".join(platform.python_version_tuple()[:2])
    if here == profile.python:
        yield Finding("ok", f"Python {here} at {sys.prefix}")
    else:
        text = f"Python is {here}, and {profile.python} on Databricks Runtime {profile.databricks}"
        yield Finding("note", text, f"Make the environment with python{profile.python} to test what will run there.")
    different = [
        f"{name} {installed} (tested: {pinned})"
        for file in (profile.constraints, profile.constraints.with_name("kit.constraints.txt"))
        for name, pinned in re.findall(r"^([\w.-]+)==(\S+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        if (installed := _installed(name)) not in (None, pinned)
    ]
    if different:
        remedy = f"pip install --constraint {profile.constraints} … gives the tested ones."
        yield Finding("note", f"other versions than the profile's: {', '.join(different)}", remedy)
    else:
        yield Finding("ok", "the installed packages are the profile's")


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def jars() -> Iterator[Finding]:
    """Look whether every locked jar is in the cache."""
    from devkit.spark.jars import is_cached, read_lock

    profile = _profile()
    for what, lock in (("Spark", profile.lock), ("the local hub", profile.lock.with_name("local-hub.lock"))):
        locked = read_lock(lock)
        missing = [jar.coordinate for jar in locked if not is_cached(jar)]
        if missing:
            text = f"{len(missing)} of {len(locked)} jars of {what} are not in {cache.home()}: {missing[0]} …"
            yield Finding("problem", text, f"devkit jars fetch --file {lock}")
        else:
            yield Finding("ok", f"{len(locked)} jars of {what} are as locked")


def start() -> Iterator[Finding]:
    """Look at what makes Spark start: the archive of its classes and the warm server."""
    from devkit.spark import start_archive
    from devkit.spark.jars import is_cached, read_lock
    from devkit.spark.local_session import prepare
    from devkit.spark.server_state import running_server, shared_folder

    if not start_archive.is_on():
        yield Finding("note", f"instant start is switched off by {start_archive.SWITCH_VARIABLE}")
    elif all(map(is_cached, read_lock(_profile().lock))) and prepare().archive().is_whole():  # else it would fetch
        yield Finding("ok", "instant start is written for this Java and these jars")
    else:
        text = "Spark starts without its archive of classes: none is written for this Java and these jars"
        yield Finding("note", text, "devkit warm writes it: a third of the time.")
    state = running_server(shared_folder())
    yield Finding("ok", f"warm Spark {f'runs on port {state.port}' if state else 'is not running'}")


def ports() -> Iterator[Finding]:
    """Look whether the local hub's port is its own."""
    from devkit.hub.broker import DEFAULT_PORT, LocalHub
    from devkit.processes import accepts_connections

    status = LocalHub.shared().status()
    port = status.port or DEFAULT_PORT
    if status.running:
        yield Finding("ok", f"the local hub runs on port {port}")
    elif accepts_connections(port):
        remedy = f"Stop that program, or devkit hub up --port {port + 1}."
        yield Finding("problem", f"port {port} of the local hub is taken by another program", remedy)
    else:
        yield Finding("ok", f"port {port} is free for the local hub, which does not run")


def disk_and_memory() -> Iterator[Finding]:
    """Look whether there is room."""
    import psutil

    for folder, what in ((cache.home(), "jars and archives"), (Path.cwd(), "tables")):
        there = next(each for each in (folder, *folder.parents) if each.exists())
        free = shutil.disk_usage(there).free
        text = f"{free / 1e9:.1f} GB free for {what} in {folder}"
        yield Finding("ok", text) if free >= LEAST_DISK else Finding("problem", text, "Make room: 2 GB are needed.")
    free = psutil.virtual_memory().available
    text = f"{free / 1e9:.1f} GB of memory available, {os.cpu_count()} cores"
    remedy = "Close other programs; a driver takes 2 GB (spark.driver.memory of the profile)."
    yield Finding("ok", text) if free >= LEAST_MEMORY else Finding("note", text, remedy)


def variables() -> Iterator[Finding]:
    """Look for variables of the environment that change what runs here."""
    for name, meaning in FOREIGN.items():
        if os.environ.get(name):
            yield Finding("note", f"{name} is set: {meaning}", f"unset {name}, unless that is meant.")


def job() -> Iterator[Finding]:
    """Read the job's configuration, its schema, and what it signs in with."""
    from devkit.hub.commands import connection_string_file
    from spark_utils import load_schema, parse_arguments
    from spark_utils.configuration.config_files import DEFAULT_CONFIG_FILE, find_config_file

    file = find_config_file(Path.cwd())
    if file is None:
        yield Finding("note", f"there is no {DEFAULT_CONFIG_FILE} here or above", "Run this in a project's folder.")
        return
    config = parse_arguments([])
    yield Finding("ok", f"{file}: the job's configuration is complete")
    yield Finding("ok", f"{config.schema}: {counted(len(load_schema(config.schema).fields), 'field')} at its root")
    for secret in config.given_secrets:
        if "secrets/local-hub/" in (secret.reference or "") and not connection_string_file().exists():
            yield Finding("note", "the local hub has no connection string yet", "devkit hub up makes one.")
            continue
        secret.reveal()
        yield Finding("ok", f"{secret.reference or 'a plain value'} is found (from {secret.origin})")
