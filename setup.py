"""The job's wheel: `spark_utils` and the job files, what runs on the cluster and nothing else.

A deployment compares wheels by what they hold, this metadata included, and starts a stream anew when it differs. So
README.md is not part of it, and the tools of development are an extra of the kit (kit/pyproject.toml).
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

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
    py_modules=["streaming_job", "transformation"],
    package_data={"": ["py.typed"], "spark_utils.parsing": ["jvm/java/*"]},
    install_requires=["configargparse>=1.7"],
    extras_require={"local": LOCAL, "events": EVENTS},
    entry_points={"console_scripts": ["streaming-job = spark_utils.entry_points:streaming_job"]},
)
