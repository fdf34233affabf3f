"""`devkit config`: the sample file and the table of options, and what starts the job elsewhere."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from spark_utils.configuration.arguments import COMMAND_LINE_ONLY
from spark_utils.configuration.config_files import DEFAULT_CONFIG_FILE
from spark_utils.configuration.options import Option, options_of
from spark_utils.configuration.settings import StreamingConfig
from spark_utils.errors import ConfigurationError

SAMPLE_FILE = DEFAULT_CONFIG_FILE.with_name(DEFAULT_CONFIG_FILE.name + ".sample")
README_FILE = DEFAULT_CONFIG_FILE.with_name("README.md")
BEGIN, END = "<!-- options: written by `devkit config sample` -->", "<!-- end of options -->"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `sample`, `spark-submit` and `job`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    summary = "write configuration/*.conf.sample and README.md's table of options"
    sample = actions.add_parser("sample", help=summary, description=summary)
    sample.add_argument("--check", action="store_true", help="write nothing; fail if a file is not up to date")
    sample.add_argument("--project", type=Path, default=Path(), help="the folder that holds configuration/")
    sample.set_defaults(run=run)
    for name, summary in (
        ("spark-submit", "print the spark-submit line of a configuration file"),
        ("job", "print the job of a configuration file, as it is declared in configuration/deploy"),
    ):
        action = actions.add_parser(name, help=summary, description=summary)
        action.add_argument("--config", type=Path, metavar="FILE", help="default: the project's")
        action.set_defaults(run=_print_launch, job=Path("src/streaming_job.py"))
    actions.choices["spark-submit"].add_argument("--job", type=Path, metavar="FILE", help="the job's file")


def _print_launch(arguments: argparse.Namespace) -> int:
    from devkit.project.launch import declaration, given, spark_submit

    options = given(arguments.config)
    print(spark_submit(arguments.job, options) if arguments.action == "spark-submit" else declaration(options))
    return 0


def run(arguments: argparse.Namespace) -> int:
    """Write both files, or with `--check` compare them.

    Raises:
        ConfigurationError: With `--check`, if a file is not as it would be written; or README.md has lost its markers.
    """
    options = options_of(StreamingConfig)
    readme = arguments.project / README_FILE
    wanted = {
        arguments.project / SAMPLE_FILE: sample(options),
        readme: with_table(readme.read_text(encoding="utf-8"), options),
    }
    for file, text in wanted.items():
        if arguments.check and (not file.is_file() or file.read_text(encoding="utf-8") != text):
            raise ConfigurationError(f"{file} is not up to date", remedy="Run `devkit config sample`.")
        if not arguments.check:
            file.write_text(text, encoding="utf-8")
            print(f"wrote {file}")
    return 0


def sample(options: Iterable[Option]) -> str:
    """Return a configuration file that names every option, each commented out."""
    lines = [
        "# Every option of the streaming job. Copy what you need to run_args_streaming.conf and take the `# ` off.",
        "# A value shown after `=` is the default, or, where it says so, an example.",
    ]
    for group, members in groupby(options, key=lambda option: option.group):
        lines += ["", f"# ---- {group} ----"]
        for option in members:
            lines += ["", *textwrap.wrap(option.help, 110, initial_indent="# ", subsequent_indent="# ")]
            value = option.default or option.example or option.metavar
            is_default = bool(option.default)
            lines += ([] if is_default else ["# (example)"]) + [f"# {option.name} = {value}"]
    return "\n".join(lines) + "\n"


def with_table(readme: str, options: Iterable[Option]) -> str:
    """Return README.md with the table between its markers written anew.

    Raises:
        ConfigurationError: If a marker is missing.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ConfigurationError(f"{README_FILE} has lost the line {BEGIN!r} or {END!r}", remedy="Put both back.")
    return f"{before}{BEGIN}\n\n{table(options)}\n{END}{after}"


def table(options: Iterable[Option]) -> str:
    """Return the options as a Markdown table, a heading for each group."""
    lines: list[str] = []
    for group, members in groupby(options, key=lambda option: option.group):
        lines += [f"### {group}", "", "| option | environment | default | |", "|---|---|---|---|"]
        for option in members:
            default = f"`{option.default}`" if option.default else ("required" if option.required else "")
            secret = " **Secret.**" if option.sensitive else ""
            help_text = option.help.replace("|", "\\|")
            lines.append(f"| `--{option.name}` | `{option.environment}` | {default} | {help_text}{secret} |")
        lines.append("")
    only = ", ".join(f"`{name}`" for name in COMMAND_LINE_ONLY)
    return "\n".join([*lines, f"On the command line only: {only}; `--config` also as `STREAMING_CONFIG`.", ""])
