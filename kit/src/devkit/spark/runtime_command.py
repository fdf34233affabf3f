"""``devkit runtime``: list, show and use the runtime profiles, and compare one with a cluster."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path, PurePosixPath

from devkit import cache
from devkit.spark import jars
from devkit.spark.runtime_diff import CANNOT_BE_MIRRORED, differences, read_dump
from devkit.spark.runtime_from_cluster import write_profile
from devkit.spark.runtimes import (
    FOLDER_VARIABLE,
    LOCAL,
    SAME,
    RuntimeProfile,
    default_profile,
    find_profile,
    installed_profile,
    load_profiles,
)
from spark_utils.errors import RuntimeSetupError
from spark_utils.names import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs and their options."""
    verbs = parser.add_subparsers(dest="runtime_verb", required=True, metavar="VERB")
    summary = "show the profiles, one a line"
    verbs.add_parser("list", help=summary, description=summary).set_defaults(run=_list)
    summary = "show what a profile is made of: what is the same as on Databricks by which source, what differs and why"
    show = verbs.add_parser("show", help=summary, description=summary)
    show.add_argument("name", nargs="?", metavar="NAME", help="default: that of the installed pyspark")
    show.set_defaults(run=_show)
    summary = "install the Spark and Delta of a profile into this Python environment, and fetch its jars"
    use = verbs.add_parser("use", help=summary, description=summary)
    use.add_argument("name", metavar="NAME")
    use.set_defaults(run=_use)
    summary = "compare a cluster with a profile; status 1 when a difference is not explained"
    diff = verbs.add_parser("diff", help=summary, description=summary)
    diff.add_argument("dump", type=Path, metavar="DUMP", help="what show_config printed there, or the cluster's JSON")
    diff.add_argument("--runtime", metavar="NAME", help="the profile (default: that of the installed pyspark)")
    diff.set_defaults(run=_diff)
    summary = "write the profile of a cluster: that of its runtime, with the cluster's own settings"
    cluster = verbs.add_parser("from-cluster", help=summary, description=summary)
    cluster.add_argument("dump", type=Path, metavar="CLUSTER", help="the cluster's JSON, or a job's new_cluster")
    cluster.add_argument("file", type=Path, metavar="FILE", help="FOLDER/NAME.conf; the folder is the profile's own")
    cluster.set_defaults(run=_from_cluster)
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
        print(f"{_summary(profile)}{', default' if profile.default else ''}")
    return 0


def _summary(profile: RuntimeProfile) -> str:
    java = " or ".join(map(str, profile.java))
    return (
        f"{profile.name:10} Databricks Runtime {profile.databricks}: Spark {profile.spark}, "
        f"Delta {profile.delta}, Java {java}, Python {profile.python}"
    )


def _show(arguments: argparse.Namespace) -> int:
    profile = find_profile(arguments.name) if arguments.name else installed_profile()
    print(f"{_summary(profile)}, Scala {profile.scala}, Hadoop {profile.hadoop}")
    print(f"{len(profile.coordinates)} jars; from {profile.path}")
    for title, local_only in ((SAME, False), (LOCAL, True)):
        print(f"{title}:")
        for setting in profile.settings:
            if setting.local_only == local_only:
                print(f"  {setting.key} = {setting.value}{f'  # {setting.reason}' if setting.reason else ''}")
    print("cannot be mirrored:")
    for key, reason in CANNOT_BE_MIRRORED.items():
        print(f"  {key}  # {reason}")
    return 0


def _use(arguments: argparse.Namespace) -> int:
    profile = find_profile(arguments.name)
    wanted = [f"pyspark[connect]=={profile.spark}", f"delta-spark=={profile.delta}"]
    install = [sys.executable, "-m", "pip", "install", "--quiet", *wanted, "--constraint", str(profile.constraints)]
    if subprocess.run(install, check=False).returncode:
        raise RuntimeSetupError(f"pip did not install {' and '.join(wanted)}", remedy="What it says above tells why.")
    print(f"{sys.prefix} has Spark {profile.spark} now; {counted(len(jars.fetch(profile.lock)), 'jar')} in the cache")
    return 0


def _diff(arguments: argparse.Namespace) -> int:
    profile = find_profile(arguments.runtime) if arguments.runtime else installed_profile()
    found = [*differences(profile, read_dump(arguments.dump))]
    for each in found:
        print(f"{each.key}: {each.there} there, {each.here} here{f'  # {each.explained}' if each.explained else ''}")
    unexplained = [each for each in found if not each.explained]
    print(f"{len(unexplained)} of {len(found)} differences from {profile.name} are not explained")
    return 1 if unexplained else 0


def _from_cluster(arguments: argparse.Namespace) -> int:
    there = read_dump(arguments.dump)
    profile = write_profile(there, arguments.file)
    for each in differences(profile, there):
        print(f"left as it is here: {each.key}: {each.there} there, {each.here} here  # {each.explained}")
    print(f"wrote {profile.path}; to use it: export {FOLDER_VARIABLE}={profile.path.parent.resolve()}")
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
