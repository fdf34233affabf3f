"""A job's arguments: command line > environment > configuration file > default.

`parse_arguments` turns them into a frozen `StreamingConfig` or says everything that is wrong with them at once.

Relative paths: one given on the command line or in the environment starts from the working directory; one of a
configuration file, and a default, from the project, which is the folder that holds `configuration/`. When a storage
account is named, a relative output path lies in its container instead.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final, NoReturn

import configargparse

from spark_utils.configuration.config_files import (
    DEFAULT_CONFIG_FILE,
    Entry,
    find_config_file,
    read_config_file,
)
from spark_utils.configuration.explain import explain
from spark_utils.configuration.fresh import with_fresh_output
from spark_utils.configuration.options import ENVIRONMENT_PREFIX, Option, inner_group, options_of
from spark_utils.configuration.secrets import Secret
from spark_utils.configuration.settings import StorageOptions, StreamingConfig
from spark_utils.configuration.settings_checks import check_settings
from spark_utils.errors import ConfigurationError
from spark_utils.names import suggestion
from spark_utils.sinks.storage import AZURITE_ACCOUNT, resolve_path
from spark_utils.sources.clouds import PUBLIC, cloud_of
from spark_utils.sources.event_hubs import parse_connection_string

__all__ = ["StreamingConfig", "build_parser", "parse_arguments"]

COMMAND_LINE: Final = "command line"
DEFAULT: Final = "default"
COMMAND_LINE_ONLY: Final = ("--config", "--explain-config", "--fresh", "--help")
_CONFIG_VARIABLE: Final = ENVIRONMENT_PREFIX + "CONFIG"
_REMEDY: Final = "See --help, or configuration/README.md."


class _Mistake(Exception):  # noqa: N818 - not an error of its own: it carries argparse's complaint to the list of all
    """What argparse complains about."""


class _Formatter(configargparse.ArgumentDefaultsHelpFormatter):  # type: ignore[misc]  # configargparse has no types
    """Shows defaults where there is one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


class _Parser(configargparse.ArgumentParser):  # type: ignore[misc]  # configargparse has no types
    """Reports what is wrong instead of ending the process, and never shows a value."""

    def error(self, message: str) -> NoReturn:
        raise _Mistake(re.sub(r"'[^']*'", "(not shown)", message))


def build_parser() -> configargparse.ArgumentParser:
    """Return the parser of all options; it reads the command line only, and leaves every value a text."""
    parser = _Parser(
        prog="streaming_job.py",
        description="Stream events from an event hub into two Delta tables: the good and the rejected ones.",
        epilog=f"Options may also stand in {DEFAULT_CONFIG_FILE}, as `key = value` lines (# begins a comment), which "
        "override defaults only.",
        formatter_class=_Formatter,
        add_config_file_help=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", metavar="FILE", env_var=_CONFIG_VARIABLE, help="Configuration file to read instead."
    )
    parser.add_argument(
        "--explain-config",
        action="store_true",
        help="Print every effective value, secrets masked, and where it came from; then exit.",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="Start anew in a new output beside the one that is there, after asking."
    )
    for title, members in itertools.groupby(options_of(StreamingConfig), key=lambda option: option.group):
        group = parser.add_argument_group(title)
        for option in members:
            optional = {} if option.flag is None else {"nargs": "?", "const": option.flag}
            group.add_argument(
                f"--{option.name}",
                dest=option.name,
                metavar=option.metavar,
                env_var=option.environment,
                default=option.default or None,
                help=option.help.replace("%", "%%"),
                **optional,
            )
    return parser


def parse_arguments(
    argv: Sequence[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    config_file: str | Path | None = None,
    working_directory: Path | None = None,
) -> StreamingConfig:
    """Read the job's configuration.

    `--help` and `--explain-config` print and exit with status 0.

    Args:
        argv: Arguments without the program's name; by default the process's own (none in a notebook or cell, whose
            own arguments are not for the job).
        environ: Environment variables; by default the process's own.
        config_file: As `--config`, which is stronger; by default `configuration/run_args_streaming.conf` of the working
            directory or the nearest folder above that has it.
        working_directory: Where relative paths start; by default the process's own.

    Returns:
        The typed configuration; `origins` tells where each value came from.

    Raises:
        SystemExit: After `--explain-config`, `--help`, or a no to `--fresh`.
        ConfigurationError: If anything is unknown, given twice, malformed or missing. All mistakes are told at once,
            with their origin, and no secret is shown.
    """
    environ = os.environ if environ is None else environ
    folder = working_directory or Path.cwd()
    options = options_of(StreamingConfig)
    mistakes: list[str] = []
    told = _command_line(_own_arguments() if argv is None else list(argv), options, mistakes)
    file = _chosen_file(told.config or environ.get(_CONFIG_VARIABLE) or config_file, folder)
    entries = _file_entries(file, folder, options, mistakes)
    mistakes += _unknown_variables(environ, options)
    given = {option.name: entry for option in options if (entry := _given(option, told, environ, entries, folder))}
    config = _convert(options, given, mistakes)
    if not mistakes:
        mistakes += check_settings(config, environ)
    if mistakes:
        raise _all_at_once(mistakes)
    if told.explain_config:
        sys.stdout.write(explain(config, options))
        raise SystemExit(0)
    return with_fresh_output(config) if told.fresh else config


def _own_arguments() -> list[str]:
    """The process's arguments, unless they belong to a notebook's kernel."""
    program = Path(sys.argv[0] if sys.argv else "").name
    return [] if "ipykernel" in program or program in ("", "-c") else sys.argv[1:]


def _command_line(arguments: list[str], options: list[Option], mistakes: list[str]) -> argparse.Namespace:
    """Read the command line; what is not given stays None."""
    unset = dict.fromkeys([*(option.name for option in options), "config"])
    told = argparse.Namespace(**unset, explain_config=False, fresh=False)
    try:
        _, extra = build_parser().parse_known_args(arguments, told, config_file_contents="", env_vars={})
    except _Mistake as mistake:
        mistakes.append(f"{COMMAND_LINE}: {mistake}")
        return argparse.Namespace(**unset, explain_config=False, fresh=False)
    mistakes += _unknown_arguments(extra, [*(f"--{option.name}" for option in options), *COMMAND_LINE_ONLY])
    return told


def _chosen_file(named: str | Path | None, folder: Path) -> Path | None:
    return folder / Path(named).expanduser() if named else find_config_file(folder)


def _file_entries(file: Path | None, folder: Path, options: list[Option], mistakes: list[str]) -> dict[str, Entry]:
    """Read the configuration file; its name is shown relative to the working directory, where that is shorter."""
    if file is None:
        return {}
    shown_as = os.path.relpath(file, folder) if file.is_relative_to(folder) else str(file)
    entries, wrong = read_config_file(file, shown_as=shown_as)
    mistakes += wrong
    names = [option.name for option in options]
    mistakes += [
        f"{entry.origin}: unknown key {entry.key!r}{suggestion(entry.key, names)}"
        for entry in entries
        if entry.key not in names
    ]
    return {entry.key: entry for entry in entries}


def _given(
    option: Option,
    told: argparse.Namespace,
    environ: Mapping[str, str],
    entries: Mapping[str, Entry],
    working: Path,
) -> Entry | None:
    """Return the strongest text for an option: command line > environment > file."""
    text = getattr(told, option.name)
    if text is not None:
        # Python before 3.12.5 takes the value `--` for the end of the options, and gives an empty list.
        value = text if isinstance(text, str) else "--"
        return Entry(option.name, value, f"{COMMAND_LINE} --{option.name}", working)
    if option.environment in environ:
        origin = f"environment variable {option.environment}"
        return Entry(option.name, environ[option.environment], origin, working)
    return entries.get(option.name)


def _unknown_variables(environ: Mapping[str, str], options: list[Option]) -> list[str]:
    names = [*(option.environment for option in options), _CONFIG_VARIABLE]
    return [
        f"unknown environment variable {name}{suggestion(name, names, prefix=ENVIRONMENT_PREFIX)}"
        for name in sorted(environ)
        if name.startswith(ENVIRONMENT_PREFIX) and name not in names
    ]


def _unknown_arguments(extra: list[str], known: list[str]) -> list[str]:
    """Name unknown options; a value, which may be a secret, is never shown."""
    names = [text.partition("=")[0] for text in extra if re.match(r"--[a-z][a-z-]*(=|$)", text)]
    if extra and not names:
        return [f"{COMMAND_LINE}: unexpected value (not shown); quote a value that has spaces"]
    return [f"{COMMAND_LINE}: unknown option {name}{suggestion(name, known, prefix='--')}" for name in names]


def _convert(options: list[Option], given: Mapping[str, Entry], mistakes: list[str]) -> StreamingConfig:
    values: dict[str, dict[str, Any]] = {"": {}}
    origins = dict.fromkeys((option.name for option in options), DEFAULT)
    for option in options:
        entry = given.get(option.name)
        if entry is None or not entry.value.strip():
            if option.required:
                mistakes.append(f"--{option.name} is required ({option.environment} in the environment)")
            continue
        try:
            values.setdefault(option.owner, {})[option.field] = _value(option, entry)
        except ValueError as error:
            mistakes.append(f"{entry.origin}: invalid value {option.shown(entry.value)} for --{option.name}: {error}")
        except ConfigurationError as error:
            mistakes.append(str(error).removesuffix("."))
        else:
            origins[option.name] = entry.origin
    groups: dict[str, Any] = {
        each.name: group(**values.get(each.name, {}))
        for each in fields(StreamingConfig)
        if (group := inner_group(each))
    }
    return _with_output(StreamingConfig(**values[""], **groups, origins=origins), given)


def _value(option: Option, entry: Entry) -> Any:
    if option.sensitive:
        return Secret(entry.value, origin=entry.origin)
    value = option.parse(entry.value)
    later = option.owner == "output"  # its paths may lie in the storage account
    if not option.path or later or (option.name == "schema" and _is_schema_text(value)):
        return value
    return resolve_path(value, entry.folder)


def _is_schema_text(value: str) -> bool:
    return value.lstrip().startswith("{") or (re.search(r"[\s<]", value) is not None and not Path(value).suffix)


def _with_output(config: StreamingConfig, given: Mapping[str, Entry]) -> StreamingConfig:
    """Resolve the two paths that may lie in the storage account, and derive the checkpoint from the output."""
    storage = _in_the_clouds_domain(config)
    output, origins = config.output, dict(config.origins)
    if output.path:
        path = resolve_path(output.path, given["output-path"].folder, storage=storage)
        output = replace(output, path=path)
    if output.checkpoint_path:
        path = resolve_path(output.checkpoint_path, given["checkpoint-path"].folder, storage=storage)
        output = replace(output, checkpoint_path=path)
    elif output.path:
        output = replace(output, checkpoint_path=f"{output.path.rstrip('/')}/checkpoint")
        origins["checkpoint-path"] = f"{DEFAULT}, from --output-path"
    return replace(config, output=output, storage=storage, origins=origins)


def _in_the_clouds_domain(config: StreamingConfig) -> StorageOptions:
    """Name the account by its host where the namespace lies in a sovereign cloud, as the account then does."""
    name, string = config.storage.account_name, config.source.event_hubs_connection_string
    if not name or "." in name or name == AZURITE_ACCOUNT:
        return config.storage
    host = config.source.event_hubs_namespace or ""
    if string is not None and string.reference is None:  # a reference is not resolved before it is used
        with suppress(ConfigurationError):  # told by the checks
            host = parse_connection_string(string).host
    cloud = cloud_of(host.rstrip("/").rpartition("//")[2].partition(":")[0])
    return config.storage if cloud is PUBLIC else replace(config.storage, account_name=f"{name}.dfs.{cloud.storage}")


def _all_at_once(mistakes: list[str]) -> ConfigurationError:
    if len(mistakes) == 1:
        return ConfigurationError(mistakes[0], remedy=_REMEDY)
    listed = "".join(f"\n  - {mistake}" for mistake in mistakes)
    return ConfigurationError(f"the configuration has {len(mistakes)} mistakes:{listed}\n{_REMEDY}")
