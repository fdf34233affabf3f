"""The job's wheel: `spark_utils` and the job files, what runs on the cluster and nothing else.

A deployment compares wheels by what they hold, this metadata included, and starts a stream anew when it differs. So
README.md is not part of it, and the tools of development are an extra of the kit (kit/pyproject.toml).
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.errors import ExecError

HERE = Path(__file__).parent
(VERSION,) = re.findall(
    r'^__version__ = "(.+)"', (HERE / "src/spark_utils/__init__.py").read_text("utf-8"), re.MULTILINE
)

HOME = "https://github.com/spark-streaming-devkit/spark-streaming-devkit"

# Ranges here; what is installed and tested is pinned in configuration/runtimes/*.constraints.txt.
LOCAL = [
    "pyspark[connect]>=4.0,<4.3",
    "delta-spark>=4.0,<4.5",
    "pyarrow>=18",
    "pandas>=2.2,<3",  # pandas 3 breaks pyspark's conversions
]
EVENTS = ["azure-eventhub>=5.15,<6"]

JVM = Path("spark_utils/parsing/jvm")


class BuildWithReader(build_py):  # type: ignore[misc]  # setuptools ships no types
    """Compiles the reader of bodies too, into the wheel or, for an editable install, beside its source."""

    def run(self) -> None:
        """Build the Python modules, then the jar."""
        super().run()
        build_reader(HERE / "src" / JVM if self.editable_mode else Path(self.build_lib) / JVM)


def build_reader(target: Path) -> Path:
    """Compile ``jvm/java`` to ``target/spark_utils.parsing.vHASH.jar``, byte for byte by the same source, JDK and zlib.

    The hash of the source is part of the Java package, since executors may hold classes of another version.
    """
    texts = {source.name: source.read_text("utf-8") for source in sorted((HERE / "src" / JVM / "java").glob("*.java"))}
    package = f"spark_utils.parsing.v{hashlib.sha256(''.join(texts.values()).encode()).hexdigest()[:16]}"
    jar = target / f"{package}.jar"
    with tempfile.TemporaryDirectory() as folder:
        classes = Path(folder, "classes")
        for name, text in texts.items():
            renamed = text.replace("package spark_utils.parsing;", f"package {package};", 1)
            Path(folder, name).write_text(renamed, "utf-8")
        compile_java(sorted(Path(folder).glob("*.java")), write_spark_api(Path(folder, "spark")), classes)
        for old in target.glob("*.jar"):
            old.unlink()
        with zipfile.ZipFile(jar, "w") as archive:
            for path in sorted(classes.rglob("*.class")):
                entry = zipfile.ZipInfo(path.relative_to(classes).as_posix())  # without the time of the build
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return jar


def write_spark_api(folder: Path) -> Path:
    """Write a source file for each line of ``spark_api.txt``; return the folder."""
    for line in (HERE / "src" / JVM / "spark_api.txt").read_text("utf-8").splitlines():
        if found := re.match(r"package ([\w.]+); public (?:abstract )?(?:class|interface) (\w+)", line):
            path = folder.joinpath(*found[1].split("."), f"{found[2]}.java")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(line, "utf-8")
    return folder


def compile_java(sources: list[Path], spark_api: Path, classes: Path) -> None:
    """Run javac for Java 17, which Databricks Runtime has had since 16; only the sources' own classes are written."""
    home = os.environ.get("JAVA_HOME")
    javac = shutil.which("javac", path=str(Path(home, "bin"))) if home else None
    javac = javac or shutil.which("javac")
    if javac is None:
        raise ExecError(
            "cannot compile src/spark_utils/parsing/jvm/java: there is no javac in JAVA_HOME or on PATH. Install a JDK,"
            " version 17 or newer (Debian: openjdk-17-jdk-headless), or set JAVA_HOME to one."
        )
    options = ["--release", "17", "-proc:none", "-implicit:none"]
    command = [javac, *options, "-sourcepath", str(spark_api), "-d", str(classes), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExecError(f"{javac} does not compile the reader of bodies:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    setup(
        name="spark-streaming-devkit",
        version=VERSION,
        description="Databricks streaming jobs on your laptop: the same file, configuration and wheel, here and there",
        long_description=f"The library and the job that run on the cluster. How to use them: {HOME}",
        long_description_content_type="text/plain",
        author="The maintainers of spark-streaming-devkit",
        url=HOME,
        project_urls={"Source": HOME, "Changelog": f"{HOME}/blob/main/CHANGELOG.md"},
        license="MIT",
        license_files=["LICENSE"],
        keywords=["databricks", "spark", "streaming", "event hubs", "delta lake"],
        classifiers=[
            "Development Status :: 4 - Beta",
            "Intended Audience :: Developers",
            "Operating System :: OS Independent",
            "Programming Language :: Python :: 3.11",
            "Programming Language :: Python :: 3.12",
            "Topic :: Database",
            "Topic :: System :: Distributed Computing",
            "Typing :: Typed",
        ],
        python_requires=">=3.11",
        package_dir={"": "src"},
        packages=find_packages("src"),
        py_modules=["pipeline_job", "streaming_job", "transformation"],
        package_data={"": ["py.typed"]},
        cmdclass={"build_py": BuildWithReader},
        install_requires=["configargparse>=1.7"],
        extras_require={"local": LOCAL, "events": EVENTS},
        entry_points={"console_scripts": ["streaming-job = spark_utils.entry_points:streaming_job"]},
    )
