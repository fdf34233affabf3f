"""The laptop's distribution. Its metadata stands in pyproject.toml; here is only what lies outside of this folder."""

from pathlib import Path

from setuptools import setup

CONFIGURATION = Path(__file__).parent.parent / "configuration"


def files(folder: str) -> list[str]:
    """Name the files of a folder of `configuration/` as setuptools wants them: relative to this one."""
    return [f"../configuration/{folder}/{file.name}" for file in sorted((CONFIGURATION / folder).iterdir())]


setup(
    data_files=[
        ("share/spark-devkit/runtimes", files("runtimes")),
        ("share/spark-devkit/azurite", files("azurite")),
    ]
)
