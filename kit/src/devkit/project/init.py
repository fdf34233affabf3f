"""`devkit init`: a new project with names of its own, which depends on the two packages and so is upgraded by pip."""

from __future__ import annotations

import argparse
import importlib.util
import json
import keyword
import re
import sys
from importlib.metadata import distribution, version
from pathlib import Path
from urllib.parse import unquote, urlsplit

from devkit import __version__
from devkit.spark.runtimes import default_profile
from spark_utils.errors import ConfigurationError

TEMPLATES = Path(__file__).with_name("templates")
TEXT = ".in"  # the end of a template's name; any other file is copied as it is
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
SCRIPTS = """
[project.scripts]
{name} = "{package}.entry_points:job"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `devkit init NAME [--template job|pipeline] [--folder FOLDER]`."""
    parser.add_argument("name", metavar="NAME", help="small letters, digits and hyphens, such as order-events")
    parser.add_argument("--template", choices=("job", "pipeline"), default="job", help="default: %(default)s")
    parser.add_argument("--folder", type=Path, metavar="FOLDER", help="a new or empty folder (default: NAME)")
    parser.set_defaults(run=_init)


def _init(arguments: argparse.Namespace) -> int:
    folder: Path = arguments.folder or Path(arguments.name)
    written = write_project(arguments.name, folder, arguments.template)
    print(f"wrote {len(written)} files to {folder}; next: cd {folder} && make test && make run")
    if checkout := _checkout():
        build = f"{sys.prefix}/bin/pip wheel --quiet --no-deps --wheel-dir {folder}/dist {checkout} {checkout}/kit"
        print(f"the packages it needs are those of a checkout, so first: {build} && export PIP_FIND_LINKS=dist")
    return 0


def _checkout() -> str | None:
    """Return the folder of the project that the kit is installed from, when it is not from a wheel."""
    url = json.loads(distribution("spark-devkit").read_text("direct_url.json") or "{}").get("url", "")
    return unquote(urlsplit(url).path).removesuffix("/kit") if url.endswith("/kit") else None


def write_project(name: str, folder: Path, template: str = "job") -> list[Path]:
    """Write a new project; return its files.

    Args:
        name: Of the project and its wheel, as pip has it: `order-events`; the package is then `order_events`.
        folder: Where to.
        template: `job` or `pipeline`.

    Raises:
        ConfigurationError: The name cannot be one of a package, or the folder has files.
    """
    package = name.replace("-", "_")
    if not NAME.fullmatch(name) or keyword.iskeyword(package) or importlib.util.find_spec(package):
        raise ConfigurationError(
            f"{name!r} cannot be the name of a package of its own",
            origin="the argument NAME",
            remedy="Take small letters, digits and hyphens, and no name that Python or an installed package has.",
        )
    if folder.exists() and any(folder.iterdir()):
        raise ConfigurationError(f"{folder} is not empty", origin="--folder", remedy="Name a new folder.")
    files = _rendered(template, _words(name, package, template))
    for place, content in files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return [folder / place for place in files]


def _words(name: str, package: str, template: str) -> dict[str, str]:
    """Return what stands in the place of `__WORD__` in files and their names."""
    profile = default_profile()
    return {
        "NAME": name,
        "PACKAGE": package,
        "VERSION": version("spark-streaming-devkit"),
        "KIT": __version__,
        "RUNTIME": profile.databricks,
        "SPARK": profile.spark,
        "DELTA": profile.delta,
        "PYTHON": profile.python,
        "SCRIPTS": SCRIPTS.format(name=name, package=package) if template == "job" else "",
    }


def _rendered(template: str, words: dict[str, str]) -> dict[str, bytes]:
    files = {}
    for root in (TEMPLATES / "common", TEMPLATES / template):
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            place = _filled(path.relative_to(root).as_posix(), words).replace("dot.", ".")
            content = path.read_bytes()
            if place.endswith(TEXT):
                place, content = place.removesuffix(TEXT), _filled(content.decode(), words).encode()
            files[place] = content
    return files | (_job_files(words) if template == "job" else {})


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(r"__([A-Z]+)__", lambda found: words[found[1]], text)


def _job_files(words: dict[str, str]) -> dict[str, bytes]:
    """Return the job and the transformation that the wheel carries, under the new names."""
    name, folder = words["NAME"], f"src/{words['PACKAGE']}"
    job = _source("streaming_job")
    for old, new in (
        ("from transformation import", f"from {words['PACKAGE']}.transformation import"),
        ("src/streaming_job.py", f"{folder}/job.py"),
        ("src/transformation.py", f"{folder}/transformation.py"),
        ("`streaming-job`", f"`{name}`"),
        ('"streaming-job"', f'"{name}"'),
    ):
        job = job.replace(old, new)
    return {f"{folder}/job.py": job.encode(), f"{folder}/transformation.py": _source("transformation").encode()}


def _source(module: str) -> str:
    found = importlib.util.find_spec(module)
    assert found is not None  # noqa: S101 - the job's wheel, which the kit depends on, has it
    assert found.origin is not None  # noqa: S101
    return Path(found.origin).read_text(encoding="utf-8")
