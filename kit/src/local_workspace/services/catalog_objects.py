"""Unity Catalog: tables and volumes; a table is its Delta folder, a volume is a folder beneath ``/Volumes``.

Source: https://docs.databricks.com/api/azure/workspace/tables
"""

from __future__ import annotations

import json
import re
import shutil
from fnmatch import translate
from pathlib import Path
from typing import Any, ClassVar, Final

from databricks.sdk.service.catalog import VolumeInfo, VolumeType

from devkit.spark.catalog import delta_log
from local_workspace.compute import spark_environment
from local_workspace.errors import ApiError, invalid
from local_workspace.server.paths import is_remote, local_path
from local_workspace.server.routing import Request, route
from local_workspace.server.state import Service
from local_workspace.services.unity_catalog import API, KEPT_HERE, UnityCatalog, listing, new_name
from local_workspace.sql.session import column

Json = dict[str, Any]
Name = tuple[str, str, str]
LOCATION: Final = "A storage_location is what an external volume needs, and a managed one cannot have"


class CatalogObjects(Service):
    """What Delta and the folders do not know of volumes: comments and owners, by their full names."""

    name: ClassVar[str] = "catalog_objects"

    def prepare(self) -> None:
        """Make the table."""
        self.volumes = self.table("volumes", dict[str, Any])

    @property
    def _catalogs(self) -> UnityCatalog:
        return self.state.service(UnityCatalog)

    # ---- Tables

    @route("GET", f"{API}/tables", differs=KEPT_HERE)
    def list_tables(self, request: Request) -> object:
        """Return a page of a schema's tables and views, by name."""
        catalog, schema = self._catalogs.find_schema(
            f"{request.required('catalog_name')}.{request.required('schema_name')}"
        )
        names = [(catalog, schema, each) for each in self._catalogs.folders.tables(catalog, schema)]
        answer = listing(request, "tables", names)
        more = not request.flag("omit_columns")
        return answer | {"tables": [self._table(each, columns=more) for each in answer["tables"]]}

    @route("GET", f"{API}/table-summaries")
    def list_summaries(self, request: Request) -> object:
        """Return a page of a catalog's tables, by name; ``%`` and ``_`` stand for any text and any letter."""
        catalog, folders = self._catalogs.find_catalog(request.required("catalog_name")), self._catalogs.folders
        schemas = [each for each in folders.schemas(catalog) if _is_like(each, request.get("schema_name_pattern"))]
        pattern = request.get("table_name_pattern")
        names = [(catalog, schema, each) for schema in schemas for each in folders.tables(catalog, schema)]
        tables = [self._table(each, columns=False) for each in names if _is_like(each[-1], pattern)]
        summaries = [{key: each[key] for key in ("full_name", "table_type")} for each in tables]
        return listing(request, "tables", summaries)

    @route("GET", f"{API}/tables/<full_name>", differs=f"{KEPT_HERE}; the columns of a view are not given")
    def get_table(self, request: Request) -> object:
        """Return a table with its columns, or a view with its query."""
        return self._table(self._catalogs.find_table(request.path["full_name"]))

    @route("GET", f"{API}/tables/<full_name>/exists")
    def exists(self, request: Request) -> object:
        """Return whether there is a table or view of this name; 404 when its schema is missing."""
        try:
            self._catalogs.find_table(request.path["full_name"])
        except ApiError as error:
            if error.error_code != "TABLE_DOES_NOT_EXIST":
                raise
            return {"table_exists": False}
        return {"table_exists": True}

    @route("DELETE", f"{API}/tables/<full_name>")
    def delete_table(self, request: Request) -> object:
        """Delete a table or a view; the files of an external table stay."""
        self._catalogs.folders.drop_table(*self._catalogs.find_table(request.path["full_name"]))
        return None

    def _table(self, names: Name, *, columns: bool = True) -> Json:
        folders = self._catalogs.folders
        view, place = folders.view(*names), str(folders.place(*names)).removeprefix(spark_environment.FILE_SYSTEM)
        if view is not None:
            found = {"table_type": "VIEW", "view_definition": view["query"]}
            return self._catalogs.about("TABLE", names, folders.folder(*names), view) | found
        folder = self._folder(place)
        metadata = delta_log.metadata(folder)
        is_own = folder == folders.folder(*names)
        kept = {"comment": metadata.get("description")}
        found = self._catalogs.about("TABLE", names, folder, kept) | {
            "table_type": "MANAGED" if is_own else "EXTERNAL",
            "data_source_format": "DELTA",
            "storage_location": folder.as_uri() if is_own else place,
            "properties": metadata.get("configuration") or {},
        }
        if columns and metadata:
            found["columns"] = _columns(metadata)
        return found

    def _folder(self, place: str) -> Path:
        return local_path(self.state, place) if is_remote(place) else Path(place.removeprefix("file:"))

    # ---- Volumes

    @route("POST", f"{API}/volumes", differs=KEPT_HERE)
    def create_volume(self, request: Request) -> object:
        """Make a volume beneath ``/Volumes/CATALOG/SCHEMA/NAME``; an external one is a link to its folder here."""
        volume = request.typed(VolumeInfo)
        if (volume.volume_type is VolumeType.EXTERNAL) != bool(volume.storage_location):
            raise invalid(LOCATION)
        catalog, schema = self._catalogs.find_schema(
            f"{request.required('catalog_name')}.{request.required('schema_name')}"
        )
        names = (catalog, schema, new_name(request, "Volume", self._catalogs.volumes(catalog, schema)))
        folder = self._catalogs.volume_folder(*names)
        if volume.storage_location:
            place = self._folder(volume.storage_location)
            for needed in (place, folder.parent):
                needed.mkdir(parents=True, exist_ok=True)
            folder.symlink_to(place)
            _note(folder).write_text(json.dumps({"location": volume.storage_location}), "utf-8")
        else:
            folder.mkdir(parents=True)
        return self._changed(names, request)

    @route("GET", f"{API}/volumes", differs=KEPT_HERE)
    def list_volumes(self, request: Request) -> object:
        """Return a page of a schema's volumes, by name."""
        catalog, schema = self._catalogs.find_schema(
            f"{request.required('catalog_name')}.{request.required('schema_name')}"
        )
        volumes = [self._volume((catalog, schema, each)) for each in self._catalogs.volumes(catalog, schema)]
        return listing(request, "volumes", volumes)

    @route("GET", f"{API}/volumes/<full_name>", differs=KEPT_HERE)
    def read_volume(self, request: Request) -> object:
        """Return a volume."""
        return self._volume(self._catalogs.find_volume(request.path["full_name"]))

    @route("PATCH", f"{API}/volumes/<full_name>", differs=KEPT_HERE)
    def update_volume(self, request: Request) -> object:
        """Change the comment, the owner or the name of a volume."""
        names = self._catalogs.find_volume(request.path["full_name"])
        request.typed(VolumeInfo)
        if request.json.get("new_name"):
            name = new_name(request, "Volume", self._catalogs.volumes(*names[:2]), field="new_name")
            renamed = (*names[:2], name)
            before, after = self._catalogs.volume_folder(*names), self._catalogs.volume_folder(*renamed)
            before.rename(after)
            if _note(before).is_file():
                _note(before).rename(_note(after))
            self.volumes[".".join(renamed)] = self.volumes.pop(".".join(names), {})
            names = renamed
        return self._changed(names, request)

    @route("DELETE", f"{API}/volumes/<full_name>")
    def delete_volume(self, request: Request) -> object:
        """Delete a volume with its files; those of an external one stay."""
        names = self._catalogs.find_volume(request.path["full_name"])
        folder = self._catalogs.volume_folder(*names)
        folder.unlink() if folder.is_symlink() else shutil.rmtree(folder)
        _note(folder).unlink(missing_ok=True)
        self.volumes.pop(".".join(names), None)
        return None

    def _changed(self, names: Name, request: Request) -> Json:
        given = {key: request.json[key] for key in ("comment", "owner") if request.json.get(key) is not None}
        kept = self.volumes.get(".".join(names), {}) | given
        self.volumes[".".join(names)] = kept
        return self._volume(names)

    def _volume(self, names: Name) -> Json:
        folder = self._catalogs.volume_folder(*names)
        note = _note(folder)
        kept = (json.loads(note.read_text("utf-8")) if note.is_file() else {}) | self.volumes.get(".".join(names), {})
        found = self._catalogs.about("VOLUME", names, folder, kept)
        location = kept.get("location")
        kind = "EXTERNAL" if location else "MANAGED"
        return found | {"volume_type": kind, "storage_location": location or folder.as_uri()}


def _note(volume: Path) -> Path:
    """Return the file that keeps what `CREATE VOLUME … COMMENT` says of a volume."""
    return volume.with_name(f".{volume.name}.json")


def _columns(metadata: Json) -> list[Json]:
    """Return the columns of a table as the API writes them."""
    from pyspark.sql.types import StructType

    partitions = metadata.get("partitionColumns") or []
    found = []
    for place, field in enumerate(StructType.fromJson(json.loads(metadata["schemaString"])).fields):
        described = column(place, field) | {"type_text": field.dataType.simpleString(), "nullable": field.nullable}
        described["type_json"] = json.dumps(field.jsonValue())
        if "comment" in field.metadata:
            described["comment"] = field.metadata["comment"]
        if field.name in partitions:
            described["partition_index"] = partitions.index(field.name)
        found.append(described)
    return found


def _is_like(name: str, pattern: str | None) -> bool:
    if not pattern:
        return True
    wanted = translate(re.sub(r"[\[?*]", "[\\g<0>]", pattern).replace("%", "*").replace("_", "?"))
    return re.fullmatch(wanted, name, re.IGNORECASE) is not None
