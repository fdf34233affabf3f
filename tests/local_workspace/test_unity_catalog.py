"""Catalogs by REST are the folders that Spark sees: made on one side, they are there on the other."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, NotFound
from databricks.sdk.service.catalog import PermissionsChange, Privilege, TableType, VolumeType

from local_workspace import Workspace
from tests.local_workspace.run_kit import finished, logs, python, start
from tests.local_workspace.test_statements import rows


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    with Workspace() as started:
        yield started


def test_the_workspace_has_a_metastore_whose_default_catalog_is_main(client: WorkspaceClient) -> None:
    assigned, summary = client.metastores.current(), client.metastores.summary()
    assert assigned.default_catalog_name == "main"
    assert assigned.workspace_id == client.get_workspace_id()
    assert assigned.metastore_id == summary.metastore_id == client.metastores.get(summary.metastore_id).metastore_id
    assert [each.name for each in client.metastores.list()] == [summary.name]
    assert "main" in [each.name for each in client.catalogs.list()]
    assert "default" in [each.name for each in client.schemas.list("main")]


def test_a_catalog_is_made_changed_and_deleted(client: WorkspaceClient) -> None:
    made = client.catalogs.create("Dev", comment="for trials", properties={"team": "a"})
    assert (made.name, made.comment, made.properties) == ("dev", "for trials", {"team": "a"})
    with pytest.raises(BadRequest, match="'dev' already exists"):
        client.catalogs.create("dev")
    renamed = client.catalogs.update("DEV", new_name="qa", owner="data team")
    assert (renamed.full_name, renamed.owner, renamed.comment) == ("qa", "data team", "for trials")
    client.schemas.create("sales", "qa")
    with pytest.raises(BadRequest, match="not empty"):
        client.catalogs.delete("qa")
    client.catalogs.delete("qa", force=True)
    with pytest.raises(NotFound, match="Catalog 'qa' does not exist"):
        client.catalogs.get("qa")


@pytest.mark.parametrize("name", ["a.b", "a/b", "..", "a b", "_a", "a" * 256, "\ud800"])
def test_a_name_that_unity_catalog_refuses_is_refused(client: WorkspaceClient, name: str) -> None:
    with pytest.raises(BadRequest, match="not a valid name"):
        client.api_client.do("POST", "/api/2.1/unity-catalog/catalogs", body={"name": name})


@pytest.mark.slow
def test_tables_of_sql_are_described_by_rest_with_schema_comments_and_grants(client: WorkspaceClient) -> None:
    client.catalogs.create("shop")
    client.schemas.create("sales", "shop", comment="what was sold")
    assert ["Comment", "what was sold"] in rows(client, "DESCRIBE SCHEMA shop.sales")
    rows(client, "CREATE TABLE orders (id BIGINT NOT NULL COMMENT 'key', total DECIMAL(10,2), tags ARRAY<STRING>) "
                 "PARTITIONED BY (id) COMMENT 'all of them'", catalog="shop", schema="sales")  # fmt: skip
    rows(client, "CREATE VIEW shop.sales.recent AS SELECT id FROM shop.sales.orders")
    rows(client, "CREATE TABLE shop.sales.outside (id INT) LOCATION '/Volumes/shop/sales/raw/outside'")
    rows(client, "GRANT SELECT ON orders TO `data team`", catalog="shop", schema="sales")

    found = {each.name: each for each in client.tables.list("shop", "sales")}
    kinds = {name: each.table_type for name, each in found.items()}
    assert kinds == {"orders": TableType.MANAGED, "outside": TableType.EXTERNAL, "recent": TableType.VIEW}
    assert found["recent"].view_definition == "SELECT id FROM shop.sales.orders"
    assert [each.name for each in found["outside"].columns] == ["id"]
    assert found["outside"].storage_location == "/Volumes/shop/sales/raw/outside"
    orders = client.tables.get("Shop.Sales.Orders")
    assert (orders.full_name, orders.comment) == ("shop.sales.orders", "all of them")
    described = [(each.name, each.type_text, each.type_name.value, each.comment) for each in orders.columns]
    assert described == [("id", "bigint", "LONG", "key"), ("total", "decimal(10,2)", "DECIMAL", None),
                         ("tags", "array<string>", "ARRAY", None)]  # fmt: skip
    assert (orders.columns[0].nullable, orders.columns[0].partition_index, orders.columns[1].type_scale) == (
        False,
        0,
        2,
    )

    grants = client.grants.get("TABLE", "shop.sales.orders").privilege_assignments
    assert [(each.principal, each.privileges) for each in grants] == [("data team", [Privilege.SELECT])]
    assert [each.full_name for each in client.tables.list_summaries("shop", table_name_pattern="o%r_")] == [
        "shop.sales.orders"
    ]
    assert client.tables.exists("shop.sales.orders").table_exists
    client.tables.delete("shop.sales.orders")
    assert not client.tables.exists("shop.sales.orders").table_exists
    assert ["sales", "orders", "false"] not in rows(client, "SHOW TABLES IN shop.sales")


def test_what_is_granted_by_rest_is_shown_by_sql_and_inherited_below(client: WorkspaceClient) -> None:
    client.schemas.create("granted", "main")
    add = [PermissionsChange(add=[Privilege.USE_SCHEMA, Privilege.SELECT], principal="readers")]
    with pytest.raises(NotFound, match="Could not find principal with name readers"):
        client.grants.update("schema", "main.granted", changes=add)
    client.groups.create(display_name="readers")
    client.grants.update("schema", "main.granted", changes=add)
    client.volumes.create("main", "granted", "files", VolumeType.MANAGED)
    effective = client.grants.get_effective("VOLUME", "main.granted.files").privilege_assignments
    inherited = [(each.privilege, each.inherited_from_name) for each in effective[0].privileges]
    assert inherited == [(Privilege.SELECT, "main.granted"), (Privilege.USE_SCHEMA, "main.granted")]
    client.grants.update(
        "SCHEMA", "main.granted", changes=[PermissionsChange(remove=[Privilege.SELECT], principal="readers")]
    )
    assert rows(client, "SHOW GRANTS ON SCHEMA granted") == [["readers", "USE_SCHEMA", "SCHEMA", "main.granted"]]
    with pytest.raises(NotFound):
        client.grants.get("SCHEMA", "main.nowhere")


def test_a_volume_is_a_folder_of_files_and_tasks(client: WorkspaceClient) -> None:
    made = client.volumes.create("main", "default", "Raw", VolumeType.MANAGED, comment="as it came")
    assert (made.full_name, made.comment, made.volume_type) == ("main.default.raw", "as it came", VolumeType.MANAGED)
    client.files.upload("/Volumes/main/default/raw/a.txt", io.BytesIO(b"sesame"))
    text = "import os; print(open(os.environ['WORKSPACE_VOLUMES'] + '/main/default/raw/a.txt').read())"
    run = finished(client, start(client, python(client, "a", text)))
    assert logs(client, run, "a") == "sesame\n"
    client.volumes.update("main.default.raw", new_name="kept")
    assert [(each.name, each.comment) for each in client.volumes.list("main", "default")] == [("kept", "as it came")]
    assert client.files.download("/Volumes/main/default/kept/a.txt").contents.read() == b"sesame"
    client.volumes.delete("main.default.kept")
    with pytest.raises(NotFound, match=r"Volume 'main\.default\.kept' does not exist"):
        client.volumes.read("main.default.kept")
    with pytest.raises(BadRequest, match="external volume"):
        client.volumes.create("main", "default", "far", VolumeType.EXTERNAL)


def test_an_external_volume_is_a_link_whose_files_outlive_it(client: WorkspaceClient) -> None:
    place = "abfss://lake@account.dfs.core.windows.net/far"
    client.volumes.create("main", "default", "far", VolumeType.EXTERNAL, storage_location=place)
    client.files.upload("/Volumes/main/default/far/a.txt", io.BytesIO(b"kept"))
    told = client.volumes.update("main.default.far", new_name="farther")
    assert (told.volume_type, told.storage_location) == (VolumeType.EXTERNAL, place)
    client.volumes.delete("main.default.farther")
    client.volumes.create("main", "default", "again", VolumeType.EXTERNAL, storage_location=place)
    download = client.files.download("/Volumes/main/default/again/a.txt").contents
    assert download is not None
    assert download.read() == b"kept"
    client.volumes.delete("main.default.again")
