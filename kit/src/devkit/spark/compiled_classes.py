"""Java classes that come as source: compiled once with Janino, since a Java runtime has no compiler of its own."""

from __future__ import annotations

import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from devkit.spark.java import SMALL_JVM, Java, own_environment
from spark_utils.errors import RuntimeSetupError

_COMPILER = "org.codehaus.commons.compiler.samples.CompilerDemo"  # Janino's command line
_TARGET = (
    "-Dorg.codehaus.janino.UnitCompiler.defaultTargetVersion=8"  # older ones call no static method of an interface
)


def compile_to_jar(java: Java, class_path: str, sources: Sequence[Path], jar: Path) -> Path:
    """Compile the sources into a jar, which appears as a whole or not at all.

    Args:
        java: What to run the compiler on.
        class_path: Holds Janino and what the sources import.
        sources: The files.
        jar: Where to, in the cache.

    Returns:
        The jar.

    Raises:
        RuntimeSetupError: The sources do not compile.
    """
    jar.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jar.parent) as scratch:
        classes = Path(scratch, "classes")
        _compile(java, class_path, sources, classes)
        draft = Path(scratch, jar.name)
        with zipfile.ZipFile(draft, "w") as archive:
            for path in sorted(classes.rglob("*.class")):
                archive.write(path, path.relative_to(classes))
        draft.rename(jar)
    return jar


def _compile(java: Java, class_path: str, sources: Sequence[Path], classes: Path) -> None:
    classes.mkdir()
    command = [str(java.home / "bin" / "java"), *SMALL_JVM, _TARGET, _COMPILER, "-g", "-d", str(classes)]
    arguments = ["-classpath", class_path, *map(str, sources)]
    done = subprocess.run(
        [*command, *arguments], env=own_environment(class_path), capture_output=True, text=True, check=False
    )
    made = {path.stem for path in classes.rglob("*.class")}
    if done.returncode or not {source.stem for source in sources} <= made:  # it reports errors with status 0
        said = [line for line in (done.stderr + done.stdout).splitlines() if line and not line.startswith("\tat")]
        raise RuntimeSetupError(
            f"Java classes were not compiled: {(said or ['the compiler wrote nothing'])[0]}",
            origin=", ".join(map(str, sources)),
            remedy="Set JAVA_HOME to a JDK of version 17 or 21: a JRE has no compiler.",
        )
