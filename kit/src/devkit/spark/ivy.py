"""Maven artifacts by Ivy, the resolver that Spark ships and `spark.jars.packages` is resolved with.

Which repository is asked is Ivy's own setting: `SPARK_DEVKIT_IVY_SETTINGS` names an ``ivysettings.xml`` of the user,
with a mirror and its credentials, say. Proxies are those of HTTPS_PROXY, HTTP_PROXY and NO_PROXY; what else Java should
know, a trust store for instance, is said by JDK_JAVA_OPTIONS.
Source: https://ant.apache.org/ivy/history/2.5.3/standalone.html.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import quoteattr

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from devkit.spark.java import SMALL_JVM, Java
from devkit.spark.runtimes import installed_spark
from spark_utils.errors import RuntimeSetupError

SETTINGS_VARIABLE = "SPARK_DEVKIT_IVY_SETTINGS"
ATTEMPTS = 3
# What Ivy writes when a server could not be asked (a missing artifact is no error to it), and when it refused.
PASSING = re.compile(r"Server access error|SERVER ERROR|timed out|Connection re(set|fused)")
REFUSED = re.compile(r"CLIENT ERROR|invalid sha1|invalid md5")

_Coordinate = tuple[str, str, str]


class _PassingError(Exception):
    """Ivy could not ask a server; it may work a moment later, and what has arrived is kept."""


def retrieve(java: Java, coordinates: Sequence[_Coordinate], cache: Path, folder: Path) -> None:
    """Fetch the jars of some artifacts, without what they depend on.

    Args:
        java: What to run Ivy on.
        coordinates: Group, artifact and version of each.
        cache: Ivy's cache, where an interrupted run goes on.
        folder: Where the jars go, as ``<group>/<artifact>-<version>.jar``.

    Raises:
        RuntimeSetupError: A jar cannot be had; it names the jar, what Ivy said and the remedy.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(_PassingError),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(max=4),
        reraise=True,
    )
    try:
        retrying(_run, java, coordinates, cache, folder)
    except _PassingError as error:
        raise _failure(str(error), "Check the network, HTTPS_PROXY and JDK_JAVA_OPTIONS (a trust store).") from None


def _run(java: Java, coordinates: Sequence[_Coordinate], cache: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        module, options = Path(scratch, "ivy.xml"), Path(scratch, "java-options")
        module.write_text(_module(coordinates), encoding="utf-8")
        options.write_text("\n".join(_proxy_options()), encoding="utf-8")  # in a file: command lines show to everyone
        (ivy,) = (installed_spark() / "jars").glob("ivy-*.jar")
        command = [str(java.home / "bin" / "java"), *SMALL_JVM, f"@{options}", "-jar", str(ivy), "-types", "jar"]
        command += ["-ivy", str(module), "-cache", str(cache), *_settings()]
        command += ["-retrieve", f"{folder}/[organisation]/[artifact]-[revision].[ext]"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            output = list(_shown(process, len(coordinates)))
    if process.returncode:
        raise _error(output)


def _settings() -> list[str]:
    chosen = os.environ.get(SETTINGS_VARIABLE)
    if not chosen:
        return []
    if not Path(chosen).is_file():
        raise RuntimeSetupError(
            f"there is no file {chosen}",
            origin=f"environment variable {SETTINGS_VARIABLE}",
            remedy="Name an ivysettings.xml, or unset the variable to use Ivy's own settings.",
        )
    return ["-settings", chosen]


def _module(coordinates: Sequence[_Coordinate]) -> str:
    lines = [
        f"<dependency org={quoteattr(group)} name={quoteattr(artifact)} rev={quoteattr(version)} "
        'transitive="false" conf="default->master(default)">'
        f'<artifact name={quoteattr(artifact)} type="jar" ext="jar"/></dependency>'  # though its pom says `bundle`
        for group, artifact, version in coordinates
    ]
    return (
        '<ivy-module version="2.0"><info organisation="spark-devkit" module="jars"/><configurations>'
        f'<conf name="default"/></configurations><dependencies>{"".join(lines)}</dependencies></ivy-module>'
    )


def _proxy_options() -> Iterator[str]:
    """Say the proxies of the environment in Java's words, a line each of an argument file."""
    proxies = urllib.request.getproxies_environment()
    for scheme in ("http", "https"):
        proxy = urlsplit(proxies.get(scheme, ""))
        if proxy.hostname:
            yield f"-D{scheme}.proxyHost={proxy.hostname}"
            yield f"-D{scheme}.proxyPort={proxy.port or 80}"
        if proxy.username:
            for name, value in (("proxyUser", proxy.username), ("proxyPassword", proxy.password or "")):
                yield '"-Dhttp.{}={}"'.format(name, unquote(value).replace("\\", "\\\\").replace('"', '\\"'))
            yield '-Djdk.http.auth.tunneling.disabledSchemes=""'
    if proxies.get("no"):
        hosts = [f"*{name}" if name.startswith(".") else name for name in re.split(r"[,\s]+", proxies["no"]) if name]
        yield f'"-Dhttp.nonProxyHosts={"|".join(hosts)}"'


def _shown(process: subprocess.Popen[str], jars: int) -> Iterator[str]:
    """Yield what Ivy says, and show how far it is: a bar on a terminal, a line at the end in a log."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("Fetching jars", total=jars)
        for line in process.stdout or ():
            if "[SUCCESSFUL ]" in line:
                progress.advance(task)
            yield line.strip()


def _error(output: list[str]) -> Exception:
    jars = [line.lstrip(": ") for line in output if re.match(r"(:: |\[FAILED).*#", line) and "resolving" not in line]
    reasons = [line for line in output if PASSING.search(line) or REFUSED.search(line)]
    problem = "; ".join(dict.fromkeys(jars or output[-1:])) + (f" ({reasons[0]})" if reasons else "")
    if any(map(PASSING.search, reasons)):
        return _PassingError(problem)
    return _failure(problem, "Check the coordinate, or use a repository that has it and lets you in.")


def _failure(problem: str, remedy: str) -> RuntimeSetupError:
    return RuntimeSetupError(
        f"cannot fetch jars: {problem}",
        origin=os.environ.get(SETTINGS_VARIABLE) or "Ivy's own settings",
        remedy=f"{remedy} {SETTINGS_VARIABLE} names an ivysettings.xml with another repository.",
    )
