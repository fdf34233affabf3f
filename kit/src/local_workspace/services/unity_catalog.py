"""Unity Catalog: the metastore, catalogs and schemas, which are the folders that Spark's catalogs are made of.

Source: https://docs.databricks.com/api/azure/workspace/catalogs
"""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from databricks.sdk.service.catalog import CatalogInfo, SchemaInfo

from devkit.spark.catalog import CATALOG
from devkit.spark.catalog.folders import DEFAULT, CatalogFolders, is_name
from local_workspace.errors import ApiError, invalid
from local_workspace.server.paths import is_file_name
from local_workspace.server.routing import Request, route
from local_workspace.server.state import Service

Json = dict[str, Any]
METASTORE: Final = "00000000-0000-4000-8000-000000000001"
API: Final = "2.1/unity-catalog"
MOST: Final = 1000
NAME: Final = re.compile(r"[^\x00-\x20./\x7f]{1,255}")
KEPT_HERE: Final = "created_at and updated_at are both the time of the folder; ids are made of names"


class UnityCatalog(Service):
    """Keeps nothing: catalogs, schemas and their properties lie in the workspace's folder ``warehouse``."""

    name: ClassVar[str] = "unity_catalog"

    @property
    def folders(self) -> CatalogFolders:
        """The folders of all catalogs."""
        return CatalogFolders(self.state.path("warehouse"))

    # ---- What other services ask

    def find_catalog(self, name: str) -> str:
        """Return the name of a catalog as it is written.

        Raises:
            ApiError: 404 when there is none.
        """
        return _known("Catalog", name, name, self.folders.catalogs())

    def find_schema(self, full_name: str) -> tuple[str, str]:
        """Return the names of a catalog and of a schema in it as they are written.

        Raises:
            ApiError: 404 when there is none, 400 when it is not a name of two parts.
        """
        catalog, schema = parts(full_name, 2)
        catalog = self.find_catalog(catalog)
        return catalog, _known("Schema", full_name, schema, self.folders.schemas(catalog))

    def find_table(self, full_name: str) -> tuple[str, str, str]:
        """Return the names of a table or view as they are written.

        Raises:
            ApiError: 404 when there is none, 400 when it is not a name of three parts.
        """
        *_, table = parts(full_name, 3)
        catalog, schema = self.find_schema(full_name.rpartition(".")[0])
        return catalog, schema, _known("Table", full_name, table, self.folders.tables(catalog, schema))

    def find_volume(self, full_name: str) -> tuple[str, str, str]:
        """Return the names of a volume as they are written.

        Raises:
            ApiError: 404 when there is none, 400 when it is not a name of three parts.
        """
        *_, volume = parts(full_name, 3)
        catalog, schema = self.find_schema(full_name.rpartition(".")[0])
        return catalog, schema, _known("Volume", full_name, volume, self.volumes(catalog, schema))

    def volumes(self, catalog: str, schema: str) -> list[str]:
        """Return the names of a schema's volumes: the folders beneath ``/Volumes/CATALOG/SCHEMA``."""
        folder = self.volume_folder(catalog, schema)
        return sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []

    def volume_folder(self, *names: str) -> Path:
        """Return where the volumes of a catalog or a schema, or one volume, lie."""
        return self.state.path("volumes").joinpath(*names)

    def about(self, kind: str, names: tuple[str, ...], folder: Path, kept: Json) -> Json:
        """Return what the API says of everything that has a name.

        Args:
            kind: ``CATALOG``, ``SCHEMA``, ``TABLE`` or ``VOLUME``.
            names: From the catalog's on.
            folder: Its own, which may be missing.
            kept: Its ``comment`` and ``owner``, where they are known.
        """
        user, full_name = self.state.identity.user_name, ".".join(names)
        found: Json = {"name": names[-1], "full_name": full_name, "metastore_id": METASTORE}
        found |= {"owner": kept.get("owner", user), "created_by": user, "updated_by": user}
        found |= dict(zip(("catalog_name", "schema_name"), names[:-1], strict=False))
        if folder.exists():
            found |= dict.fromkeys(("created_at", "updated_at"), int(folder.stat().st_mtime * 1000))
        if kind != "CATALOG":
            found[f"{kind.lower()}_id"] = str(uuid.uuid5(uuid.UUID(METASTORE), f"{kind} {full_name}"))
        return found | ({"comment": kept["comment"]} if kept.get("comment") else {})

    # ---- Metastore

    @route("GET", f"{API}/current-metastore-assignment")
    def assignment(self, _request: Request) -> object:
        """Return the metastore of the workspace and its default catalog."""
        workspace_id = self.state.identity.workspace_id
        return {"metastore_id": METASTORE, "workspace_id": workspace_id, "default_catalog_name": CATALOG}

    @route("GET", f"{API}/metastore_summary")
    def summary(self, _request: Request) -> object:
        """Return the metastore."""
        return self._metastore()

    @route("GET", f"{API}/metastores")
    def metastores(self, request: Request) -> object:
        """Return the one metastore."""
        return listing(request, "metastores", [self._metastore()])

    @route("GET", f"{API}/metastores/<metastore_id>")
    def metastore(self, request: Request) -> object:
        """Return the metastore."""
        _known("Metastore", request.path["metastore_id"], request.path["metastore_id"], [METASTORE])
        return self._metastore()

    def _metastore(self) -> Json:
        names = {"name": "local", "cloud": "azure", "region": "local", "owner": self.state.identity.user_name}
        ids = {"metastore_id": METASTORE, "global_metastore_id": f"azure:local:{METASTORE}"}
        return {**ids, **names, "privilege_model_version": "1.0", "delta_sharing_scope": "INTERNAL"}

    # ---- Catalogs

    @route("POST", f"{API}/catalogs", differs=KEPT_HERE)
    def create_catalog(self, request: Request) -> object:
        """Make a catalog with its schema ``default``."""
        request.typed(CatalogInfo)
        name = new_name(request, "Catalog", [*self.folders.catalogs(), "system"])
        self.folders.folder(name, DEFAULT).mkdir(parents=True)
        return self._changed((name,), request)

    @route("GET", f"{API}/catalogs", differs=KEPT_HERE)
    def list_catalogs(self, request: Request) -> object:
        """Return a page of catalogs, by name."""
        return listing(request, "catalogs", [self._catalog(each) for each in self.folders.catalogs()])

    @route("GET", f"{API}/catalogs/<name>", differs=KEPT_HERE)
    def get_catalog(self, request: Request) -> object:
        """Return a catalog."""
        return self._catalog(self.find_catalog(request.path["name"]))

    @route("PATCH", f"{API}/catalogs/<name>", differs=KEPT_HERE)
    def update_catalog(self, request: Request) -> object:
        """Change the comment, the owner, the properties or the name of a catalog."""
        return self._changed(self._renamed((self.find_catalog(request.path["name"]),), request), request)

    @route("DELETE", f"{API}/catalogs/<name>")
    def delete_catalog(self, request: Request) -> object:
        """Delete a catalog; 400 when it has more than an empty schema ``default``, unless ``force``."""
        name = self.find_catalog(request.path["name"])
        schemas = [each for each in self.folders.schemas(name) if each != DEFAULT or self._content(name, each)]
        self._delete("Catalog", (name,), schemas, request)
        return None

    def _catalog(self, name: str) -> Json:
        kept = self.folders.properties(name)
        found = self.about("CATALOG", (name,), self.folders.folder(name), kept)
        found |= {"catalog_type": "MANAGED_CATALOG", "isolation_mode": "OPEN", "securable_type": "CATALOG"}
        return found | _own(kept)

    # ---- Schemas

    @route("POST", f"{API}/schemas", differs=KEPT_HERE)
    def create_schema(self, request: Request) -> object:
        """Make a schema."""
        catalog = self.find_catalog(request.typed(SchemaInfo).catalog_name or "")
        name = new_name(request, "Schema", [*self.folders.schemas(catalog), "information_schema"])
        self.folders.folder(catalog, name).mkdir(parents=True)
        return self._changed((catalog, name), request)

    @route("GET", f"{API}/schemas", differs=KEPT_HERE)
    def list_schemas(self, request: Request) -> object:
        """Return a page of a catalog's schemas, by name."""
        catalog = self.find_catalog(request.required("catalog_name"))
        return listing(request, "schemas", [self._schema(catalog, each) for each in self.folders.schemas(catalog)])

    @route("GET", f"{API}/schemas/<full_name>", differs=KEPT_HERE)
    def get_schema(self, request: Request) -> object:
        """Return a schema."""
        return self._schema(*self.find_schema(request.path["full_name"]))

    @route("PATCH", f"{API}/schemas/<full_name>", differs=KEPT_HERE)
    def update_schema(self, request: Request) -> object:
        """Change the comment, the owner, the properties or the name of a schema."""
        return self._changed(self._renamed(self.find_schema(request.path["full_name"]), request), request)

    @route("DELETE", f"{API}/schemas/<full_name>")
    def delete_schema(self, request: Request) -> object:
        """Delete a schema; 400 when it has tables or volumes, unless ``force``."""
        names = self.find_schema(request.path["full_name"])
        self._delete("Schema", names, self._content(*names), request)
        return None

    def _schema(self, catalog: str, name: str) -> Json:
        kept, folder = self.folders.properties(catalog, name), self.folders.folder(catalog, name)
        found = self.about("SCHEMA", (catalog, name), folder, kept)
        return found | {"catalog_type": "MANAGED_CATALOG", "storage_location": folder.as_uri()} | _own(kept)

    def _content(self, catalog: str, schema: str) -> list[str]:
        return [*self.folders.tables(catalog, schema), *self.volumes(catalog, schema)]

    # ---- Both

    def _changed(self, names: tuple[str, ...], request: Request) -> Json:
        """Keep what a request says of a catalog or a schema, and return it."""
        given = {key: request.json[key] for key in ("comment", "owner") if request.json.get(key) is not None}
        kept = self.folders.properties(*names) | (request.json.get("properties") or {}) | given
        if kept:
            self.folders.set_properties(names, kept)
        return self._catalog(*names) if len(names) == 1 else self._schema(*names)

    def _renamed(self, names: tuple[str, ...], request: Request) -> tuple[str, ...]:
        request.typed(SchemaInfo if names[1:] else CatalogInfo)
        if not request.json.get("new_name"):
            return names
        siblings = self.folders.schemas(names[0]) if names[1:] else self.folders.catalogs()
        name = new_name(request, "Schema" if names[1:] else "Catalog", siblings, field="new_name")
        if names[-1] in (DEFAULT, CATALOG):
            raise invalid(f"'{names[-1]}' cannot be renamed: it is there at every start")
        for place in (self.folders.folder(*names), self.volume_folder(*names)):
            if place.is_dir():
                place.rename(place.with_name(name))
        return (*names[:-1], name)

    def _delete(self, kind: str, names: tuple[str, ...], content: list[str], request: Request) -> None:
        if content and not request.flag("force"):
            raise invalid(
                f"{kind} '{'.'.join(names)}' is not empty. It has {', '.join(content[:3])}; force deletes all."
            )
        for place in (self.folders.folder(*names), self.volume_folder(*names)):
            shutil.rmtree(place, ignore_errors=True)


def listing(request: Request, name: str, items: Sequence[object]) -> Json:
    """Return a page of what Unity Catalog lists."""
    return request.listing(name, items, size="max_results", default=MOST, maximum=MOST)


def parts(full_name: str, count: int) -> list[str]:
    """Return the parts of a name.

    Raises:
        ApiError: 400 when there are more or fewer than wanted.
    """
    found = full_name.split(".")
    if len(found) != count or not all(found):
        raise invalid(f"'{full_name}' is not a valid name: it must have {count} parts")
    return found


def new_name(request: Request, kind: str, taken: Iterable[str], *, field: str = "name") -> str:
    """Return the name that a request gives to something new, in lower case as Unity Catalog keeps it.

    Raises:
        ApiError: 400 when it is missing, taken, or no name.
    """
    name = str(request.required(field)).lower()
    if not NAME.fullmatch(name) or not is_name(name) or not is_file_name(name):
        raise invalid(f"{name!r} is not a valid name: it has no dot, space or slash, and begins with no underscore")
    if name in (each.lower() for each in taken):
        raise ApiError(400, f"{kind.upper()}_ALREADY_EXISTS", f"{kind} '{name}' already exists")
    return name


def _known(kind: str, full_name: str, name: str, known: list[str]) -> str:
    found = next((each for each in known if each.lower() == name.lower()), None)
    if found is None:
        raise ApiError(404, f"{kind.upper()}_DOES_NOT_EXIST", f"{kind} '{full_name}' does not exist.")
    return found


def _own(kept: Json) -> Json:
    """Return the properties that a user gave."""
    own = {name: value for name, value in kept.items() if name not in ("comment", "owner", "location")}
    return {"properties": own} if own else {}
