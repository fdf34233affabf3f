"""``devkit runtime``: list the runtime profiles, and write a ``spark-defaults.conf`` from one."""

from __future__ import annotations

import argparse
from pathlib import Path, PurePosixPath

from devkit import cache
from devkit.spark import jars
from devkit.spark.runtimes import LOCAL, SAME, RuntimeProfile, default_profile, find_profile, load_profiles


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs and their options."""
    verbs = parser.add_subparsers(dest="runtime_verb", required=True, metavar="VERB")
    summary = "show the profiles, one a line"
    verbs.add_parser("list", help=summary, description=summary).set_defaults(run=_list)
    summary = "print the spark-defaults.conf of a profile"
    defaults = verbs.add_parser("spark-defaults", help=summary, description=summary)
    defaults.add_argument("--runtime", metavar="NAME", help="the profile (default: the one marked as default)")
    defaults.add_argument(
        "--home",
        type=PurePosixPath,
        default=PurePosixPath(cache.home()),
        metavar="FOLDER",
        help="the cache folder where the file will be used",
    )
    defaults.set_defaults(run=_spark_defaults)


def _list(_arguments: argparse.Namespace) -> int:
    for profile in load_profiles().values():
        default = ", default" if profile.default else ""
        java = " or ".join(map(str, profile.java))
        print(
            f"{profile.name:10} Databricks Runtime {profile.databricks}: Spark {profile.spark}, "
            f"Delta {profile.delta}, Java {java}, Python {profile.python}{default}"
        )
    return 0


def _spark_defaults(arguments: argparse.Namespace) -> int:
    profile = find_profile(arguments.runtime) if arguments.runtime else default_profile()
    print(spark_defaults(profile, arguments.home), end="")
    return 0


def spark_defaults(profile: RuntimeProfile, home: PurePosixPath) -> str:
    """Return the ``spark-defaults.conf`` of a profile for a machine whose cache folder is `home`."""
    here = Path(cache.home())
    paths = [home / jar.path.relative_to(here).as_posix() for jar in jars.read_lock(profile.lock)]
    class_path = ":".join(map(str, paths))
    lines = [
        f"# Generated from configuration/runtimes/{profile.path.name} by `devkit runtime spark-defaults`; edit that.",
        "",
        "spark.master local[*]",
        f"spark.driver.extraClassPath {class_path}",
        f"spark.executor.extraClassPath {class_path}",
    ]
    for title, local_only in ((SAME, False), (LOCAL, True)):
        lines += ["", f"# {title}"]
        for setting in profile.settings:
            if setting.local_only == local_only:
                lines += [f"# {setting.reason}"] if setting.reason else []
                lines.append(f"{setting.key} {setting.value}")
    return "\n".join([*lines, ""])
