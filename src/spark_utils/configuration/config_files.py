"""Reading a job's configuration file: `key = value` lines.

A line that is blank or begins with `#` says nothing; a value may stand in quotes; a `#` inside a value belongs to it,
because keys and connection strings may hold one. A key may stand only once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from spark_utils.configuration.secrets import unquote
from spark_utils.errors import ConfigurationError

DEFAULT_CONFIG_FILE: Final = Path("configuration") / "run_args_streaming.conf"
_LINE = re.compile(r"(?:--)?(?P<key>[A-Za-z][\w-]*)\s*[=:]\s*(?P<value>.*)", re.ASCII)


@dataclass(frozen=True)
class Entry:
    """The text given for one option.

    Args:
        key: The option's name.
        value: The text, which may be a secret.
        origin: Where it was given, such as `file:line`.
        folder: Where a relative path starts.
    """

    key: str
    value: str = field(repr=False)
    origin: str
    folder: Path


def find_config_file(working_directory: Path) -> Path | None:
    """Return `configuration/run_args_streaming.conf` of the nearest folder upwards that has it."""
    folder = working_directory.resolve()
    candidates = (parent / DEFAULT_CONFIG_FILE for parent in (folder, *folder.parents))
    return next((file for file in candidates if file.is_file()), None)


def _project_directory(config_file: Path) -> Path:
    """Return the folder that holds `configuration/`; for a file elsewhere the file's own folder."""
    folder = config_file.resolve().parent
    return folder.parent if folder.name == DEFAULT_CONFIG_FILE.parent.name else folder


def read_config_file(file: Path, *, shown_as: str | None = None) -> tuple[list[Entry], list[str]]:
    """Return the entries of a file, and its mistakes (lines that are none, keys given twice), values never shown.

    Raises:
        ConfigurationError: If the file cannot be read.
    """
    name = shown_as or str(file)
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(
            f"the configuration file {name!r} cannot be read: {reason}",
            origin="--config",
            remedy="Name a readable file, or leave --config out.",
        ) from None
    folder = _project_directory(file)
    entries: dict[str, Entry] = {}
    mistakes: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            mistakes.append(f"{name}:{number}: the line is not of the form `key = value`")
            continue
        key = match["key"].replace("_", "-")
        if key in entries:
            mistakes.append(f"{name}:{number}: {key!r} is given twice; the first is at {entries[key].origin}")
            continue
        entries[key] = Entry(key, unquote(match["value"].strip()), f"{name}:{number}", folder)
    return list(entries.values()), mistakes
