"""``devkit jars``: fetch, verify and lock the jars of the runtime profiles."""

from __future__ import annotations

import argparse
from pathlib import Path

from devkit.spark import jars
from devkit.spark.runtimes import find_profile, installed_profile, load_profiles
from spark_utils.names import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs and their options."""
    verbs = parser.add_subparsers(dest="jars_verb", required=True, metavar="VERB")
    for name, action, summary in (
        ("fetch", _fetch, "download what the cache lacks"),
        ("verify", _verify, "read every byte of the cached jars again and forget damaged ones"),
        ("lock", _lock, "write locks from coordinates, with the hashes of what the repository has now"),
    ):
        verb = verbs.add_parser(name, help=summary, description=summary)
        which = verb.add_mutually_exclusive_group()
        which.add_argument(
            "--runtime", metavar="NAME", help="a profile and the hub (default: that of the installed pyspark)"
        )
        which.add_argument("--all", action="store_true", help="all locks in configuration/runtimes")
        which.add_argument("--file", type=Path, metavar="LOCK", help="one lock file")
        if name == "lock":
            verb.add_argument(
                "coordinates", nargs="*", help="group:artifact:version, with --file (default: those it has already)"
            )
        verb.set_defaults(run=action)


def _locks(arguments: argparse.Namespace) -> list[Path]:
    if arguments.file:
        return [arguments.file]
    if arguments.all:
        folder = next(iter(load_profiles().values())).path.parent
        return sorted(folder.glob("*.lock"))
    name = arguments.runtime
    lock = (find_profile(name) if name else installed_profile()).lock
    return [lock] if arguments.jars_verb == "lock" else [lock, lock.with_name("local-hub.lock")]  # so a set-up has both


def _fetch(arguments: argparse.Namespace) -> int:
    for lock in _locks(arguments):
        print(f"{lock.stem}: {counted(len(jars.fetch(lock)), 'jar')} in the cache")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    status = 0
    for lock in _locks(arguments):
        damaged = jars.verify(lock)
        status |= bool(damaged)
        for jar in damaged:
            print(f"{lock.stem}: {jar.coordinate} is missing or damaged; `devkit jars fetch` gets it again")
        print(f"{lock.stem}: {len(jars.read_lock(lock)) - len(damaged)} jars are as locked")
    return status


def _lock(arguments: argparse.Namespace) -> int:
    profiles = {profile.lock: profile.coordinates for profile in load_profiles().values()}
    for lock in _locks(arguments):
        known = arguments.coordinates or profiles.get(lock)
        jars.write_lock(lock, known or [jar.coordinate for jar in jars.read_lock(lock)])
        print(f"{lock}: {len(jars.read_lock(lock))} jars locked")
    return 0
