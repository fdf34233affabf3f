"""``devkit env``: what a plain ``spark-submit`` or pyspark needs, as lines for a shell; ``eval "$(devkit env)"``."""

from __future__ import annotations

import argparse
import os
import shlex
import sys

from devkit import cache
from devkit.spark import local_session
from devkit.spark.connect_server import ConnectServer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb and its option."""
    help_text = "for spark-submit, or for pyspark to attach to the warm server (default: %(default)s)"
    parser.add_argument("--spark", choices=("classic", "warm"), default="classic", help=help_text)
    parser.set_defaults(run=_print_environment)


def _print_environment(arguments: argparse.Namespace) -> int:
    warm = arguments.spark == "warm"
    variables = ConnectServer.shared().start().variables if warm else environment(local_session.prepare())
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    if not warm:
        print("# To submit to a cluster of other machines, which have to reach this one: unset SPARK_LOCAL_IP")
    return 0


def environment(prepared: local_session.Preparation) -> dict[str, str]:
    """Return the variables for a shell, and write the configuration folder that they name.

    There is no start-up archive in it: Spark puts that folder on the class path, and a folder with files in it
    there rules an archive out. And spark-submit may name a cluster whose machines do not have this package.
    """
    folder = cache.home() / "conf" / prepared.profile.name
    content = local_session.settings(prepared, [], folder / "log4j2.properties", own_workers=False)
    local_session.write_configuration(folder, content)
    return {
        "SPARK_CONF_DIR": str(folder),
        "SPARK_HOME": str(prepared.spark_home),
        "JAVA_HOME": str(prepared.java.home),
        "PYSPARK_PYTHON": os.environ.get("PYSPARK_PYTHON", sys.executable),
        "SPARK_LOCAL_IP": local_session.listening_address(),
    }
