"""The same folders that Spark's plug-in reads, without Spark: which catalogs, schemas, tables and views there are.

``Folders.java`` says how they lie. Names are compared without regard to case.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from devkit import cache

DEFAULT: Final = "default"
OWN: Final = "_catalog"
VIEW, EXTERNAL = ".view.json", ".external.json"
GRANTS: Final = "_grants.json"
TABLE_LOG: Final = "_delta_log"


class CatalogFolders:
    """Reads and changes catalogs.

    Args:
        root: The folder of all catalogs.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def catalogs(self) -> list[str]:
        """Return the names of the catalogs; `main` is one from the start."""
        return sorted({"main", *_names(self.root)})

    def schemas(self, catalog: str) -> list[str]:
        """Return the names of a catalog's schemas; `default` is one from the start."""
        return sorted({DEFAULT, *_names(self.folder(catalog))})

    def tables(self, catalog: str, schema: str) -> list[str]:
        """Return the names of a schema's tables and views."""
        folder = self.folder(catalog, schema)
        own = [file.name for file in (folder / OWN).glob("*.json")]
        described = {name.removesuffix(end) for name in own for end in (VIEW, EXTERNAL) if name.endswith(end)}
        return sorted(described | {name for name in _names(folder) if (folder / name / TABLE_LOG).is_dir()})

    def folder(self, *names: str) -> Path:
        """Return where a catalog, a schema or a table of its own lies, in whichever case it is written there."""
        folder = self.root
        for name in names:
            folder = _in(folder, name)
        return folder

    def place(self, catalog: str, schema: str, table: str) -> str | None:
        """Return the path of a table, as Spark takes it where it lies somewhere else; None when there is none."""
        external = self._described(catalog, schema, table + EXTERNAL)
        if external is not None:
            return str(external["location"])
        own = self.folder(catalog, schema, table)
        return str(own) if (own / TABLE_LOG).is_dir() else None

    def view(self, catalog: str, schema: str, name: str) -> dict[str, Any] | None:
        """Return a view: its ``query``, ``comment``, and the ``catalog`` and ``schema`` that its names mean."""
        return self._described(catalog, schema, name + VIEW)

    def drop_table(self, catalog: str, schema: str, name: str) -> None:
        """Forget a table or a view; the files of a table of its own are deleted."""
        for end in (VIEW, EXTERNAL):
            if (file := _in(self.folder(catalog, schema) / OWN, name + end)).is_file():
                file.unlink()
                return
        shutil.rmtree(self.folder(catalog, schema, name))

    def properties(self, *names: str) -> dict[str, str]:
        """Return what is kept of a catalog or a schema, ``comment`` and ``owner`` among it."""
        return _read(self._properties(names)) or {}

    def set_properties(self, names: tuple[str, ...], properties: dict[str, str]) -> None:
        """Keep the properties of a catalog or a schema."""
        cache.write_atomically(self._properties(names), json.dumps(properties))

    def grants(self) -> list[list[str]]:
        """Return the grants: principal, privilege, type and name of the object."""
        return [*(_read(self.root / GRANTS) or {}).values()]

    def change_grants(self, *, add: list[list[str]], remove: list[list[str]]) -> None:
        """Keep grants and forget others, both as `grants` gives them."""
        kept = _read(self.root / GRANTS) or {}
        for grant in remove:
            kept.pop("\t".join(grant), None)
        kept |= {"\t".join(grant): grant for grant in add}
        cache.write_atomically(self.root / GRANTS, json.dumps(kept))

    def _properties(self, names: tuple[str, ...]) -> Path:
        return self.folder(*names) / OWN / ("catalog.json" if len(names) == 1 else "schema.json")

    def _described(self, catalog: str, schema: str, file: str) -> dict[str, Any] | None:
        return _read(_in(self.folder(catalog, schema) / OWN, file))


def is_name(name: str) -> bool:
    """Return whether a folder of this name can be a catalog, a schema or a table."""
    return bool(name) and not name.startswith(("_", ".")) and "/" not in name


def _names(folder: Path) -> Iterator[str]:
    if folder.is_dir():
        yield from (each.name for each in folder.iterdir() if each.is_dir() and is_name(each.name))


def _in(folder: Path, name: str) -> Path:
    exact = folder / name
    if exact.exists() or not folder.is_dir():
        return exact
    return next((each for each in folder.iterdir() if each.name.lower() == name.lower()), exact)


def _read(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
