"""The configuration of a streaming job: every option, declared once, and the values derived from them."""

# ruff: noqa: RUF009 - option() is dataclasses.field() with a description; its defaults are immutable

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from spark_utils.configuration.options import FrozenMap, flag_value, name_list, one_of, option, text_map, whole_number
from spark_utils.configuration.secrets import Secret
from spark_utils.configuration.values import StartingPosition, StopAfter, Trigger
from spark_utils.errors import ConfigurationError
from spark_utils.sources.event_hubs import (
    ConnectionString,
    ServiceCredential,
    ServicePrincipal,
    namespace_host,
    parse_connection_string,
)

SOURCE: Final = "Source"
PARSE: Final = "Parse"
FLATTEN: Final = "Flatten"
OUTPUT: Final = "Output"
STORAGE: Final = "Storage account"
LOOK: Final = "Demonstration and preview"


@dataclass(frozen=True, kw_only=True)
class StreamingConfig:
    """What a streaming job is told; see `--help`, or configuration/README.md, for each value.

    Made by `parse_arguments`, or by hand in a test or a cell: `StreamingConfig(source="files", source_path="events/")`.
    Secrets print as `***`; ask for one by `config.storage_account_key.reveal()`.
    """

    source: str = option(
        SOURCE, "Where events come from: an event hub, or files that are replayed.", one_of("hub", "files"), "hub"
    )
    source_path: str | None = option(
        SOURCE,
        "With --source files: a folder, file or pattern. *.recorded.jsonl keep key, position and time of each event; "
        "in any other file each line is a body.",
        path=True,
        example="data/recorded",
    )
    event_hubs_connection_string: Secret | None = option(
        SOURCE,
        "Connection string of the event hub (or of its namespace, with --event-hubs-name). Give a reference.",
        Secret,
        metavar="SECRET",
        sensitive=True,
        example="{{secrets/SCOPE/KEY}}",
    )
    event_hubs_name: str | None = option(
        SOURCE, "Event hub, when the connection string has no EntityPath.", example="telemetry"
    )
    event_hubs_namespace: str | None = option(
        SOURCE,
        "Namespace, or its full host; with a service principal or a service credential.",
        example="NAMESPACE.servicebus.windows.net",
    )
    event_hubs_tenant_id: str | None = option(SOURCE, "Service principal: tenant (directory) id.", metavar="ID")
    event_hubs_client_id: str | None = option(SOURCE, "Service principal: client (application) id.", metavar="ID")
    event_hubs_client_secret: Secret | None = option(
        SOURCE,
        "Service principal: client secret. Give a reference.",
        Secret,
        sensitive=True,
        example="{{secrets/SCOPE/KEY}}",
    )
    event_hubs_service_credential: str | None = option(
        SOURCE, "Name of a Unity Catalog service credential (Databricks only).", metavar="NAME"
    )
    consumer_group: str | None = option(
        SOURCE, "Prefix of the Kafka consumer groups that Spark makes up (groupIdPrefix).", metavar="NAME"
    )
    starting_position: StartingPosition = option(
        SOURCE,
        "Where a new checkpoint starts: earliest, latest, a time such as 2026-01-31T12:00:00Z, or JSON by partition "
        '({"0": 1200} offsets, {"0": "2026-01-31T12:00:00Z"} times).',
        StartingPosition.parse,
        "earliest",
    )
    max_events_per_trigger: int | None = option(
        SOURCE, "Upper bound of events in one micro-batch (hub only).", whole_number(1), metavar="N", example="100000"
    )

    schema: str = option(
        PARSE,
        "Schema of the events: a file (JSON Schema, Spark JSON or DDL), or DDL text.",
        required=True,
        path=True,
        example="configuration/schemas/telemetry.json",
    )
    parse_engine: str = option(
        PARSE,
        "Engine that parses bodies: jvm, arrow (in Python workers), or auto: the JVM where it can. Same verdicts.",
        one_of("auto", "jvm", "arrow"),
        "auto",
    )
    unknown_fields: str = option(
        PARSE,
        "Fields that the schema does not have: keep them in _unknown, count them, or reject the event.",
        one_of("keep", "count", "reject"),
        "keep",
        metavar="POLICY",
    )
    max_body_bytes: int = option(
        PARSE, "A longer body is rejected; the default is the ceiling of Event Hubs.", whole_number(1), "1048576"
    )
    max_depth: int = option(PARSE, "A body nested deeper is rejected.", whole_number(1), "64", metavar="N")

    flatten_separator: str = option(FLATTEN, "Joins the names along a path.", default="_", metavar="TEXT")
    flatten_arrays: str = option(
        FLATTEN,
        "Arrays without a policy of their own: keep, json, explode or `index N`.",
        default="keep",
        metavar="POLICY",
    )
    flatten_maps: str = option(
        FLATTEN,
        "Maps without a policy of their own: keep, json, explode or `keys NAME,NAME`.",
        default="keep",
        metavar="POLICY",
    )
    flatten_policies: FrozenMap = option(
        FLATTEN, "Policies by path, as JSON.", text_map, "{}", metavar="JSON", example='{"readings": "explode"}'
    )
    flatten_rename: FrozenMap = option(
        FLATTEN, "New names by path, as JSON.", text_map, "{}", metavar="JSON", example='{"device.id": "device"}'
    )
    flatten_keep: tuple[str, ...] = option(
        FLATTEN, "Paths kept as they are, separated by commas.", name_list, "", metavar="PATHS"
    )
    flatten_on_collision: str = option(
        FLATTEN,
        "Two paths with one name: an error, or a number after the later one.",
        one_of("error", "number"),
        "error",
        metavar="POLICY",
    )
    flatten_max_depth: int | None = option(
        FLATTEN, "A deeper schema is an error.", whole_number(1), metavar="N", example="10"
    )
    flatten_max_columns: int | None = option(
        FLATTEN, "More columns are an error.", whole_number(1), metavar="N", example="2000"
    )
    flatten_presence: bool = option(
        FLATTEN,
        "Add a column that tells a null struct from one of nulls.",
        flag_value,
        "false",
        metavar="BOOL",
        flag="true",
    )

    storage_account_name: str | None = option(
        STORAGE,
        "Account (Azure Data Lake Storage Gen2) that relative output paths lie in; none: folders, volumes or URLs.",
        metavar="NAME",
    )
    storage_container_name: str = option(STORAGE, "Container in the account.", default="data", metavar="NAME")
    storage_account_key: Secret | None = option(
        STORAGE,
        "Account key. Give a reference.",
        Secret,
        environment="STREAMING_STORAGE_KEY",
        sensitive=True,
        example="{{secrets/SCOPE/KEY}}",
    )
    storage_sas_token: Secret | None = option(
        STORAGE, "Shared access signature. Give a reference.", Secret, sensitive=True, example="{{secrets/SCOPE/KEY}}"
    )
    storage_tenant_id: str | None = option(STORAGE, "Service principal: tenant (directory) id.", metavar="ID")
    storage_client_id: str | None = option(STORAGE, "Service principal: client (application) id.", metavar="ID")
    storage_client_secret: Secret | None = option(
        STORAGE,
        "Service principal: client secret. Give a reference.",
        Secret,
        sensitive=True,
        example="{{secrets/SCOPE/KEY}}",
    )
    storage_endpoint: str = option(
        STORAGE, "Host and port of Azurite, for the account devstoreaccount1.", default="127.0.0.1:10000"
    )

    output_path: str = option(
        OUTPUT,
        "Folder, volume or URL that gets the tables `events` and `rejected`.",
        required=True,
        path=True,
        example="data/telemetry",
    )
    checkpoint_path: str = option(
        OUTPUT,
        "Checkpoint of the query; by default OUTPUT_PATH/checkpoint, beside the tables.",
        path=True,
        example="data/telemetry/checkpoint",
    )
    trigger: Trigger = option(
        OUTPUT,
        "When a micro-batch starts: available-now, once, or an interval such as `5 seconds`.",
        Trigger.parse,
        "available-now",
    )

    partition_by: str | None = option(OUTPUT, "Column of `events` that its files are laid out by.", metavar="COLUMN")
    schema_changes: str = option(
        OUTPUT,
        "New columns of the transformation: refuse them, or merge them into the table `events`.",
        one_of("refuse", "merge"),
        "refuse",
        metavar="POLICY",
    )
    accept_new_checkpoint: bool = option(
        OUTPUT,
        "Let a new checkpoint write to an output that another one has fed from this source.",
        flag_value,
        "false",
        metavar="BOOL",
        flag="true",
    )

    preview: int = option(
        LOOK,
        "Show this many rows before anything is written; 0: none.",
        whole_number(0),
        "0",
        metavar="ROWS",
        flag="20",
    )
    stop_after: StopAfter | None = option(
        LOOK,
        "End by itself after a time (`30 seconds`) or a number of events (`1000 events`).",
        StopAfter.parse,
        example="30 seconds",
    )

    fast_start: bool = option(
        LOOK,
        "Start a local session in a third of the time, at the price of throughput; without effect on a cluster.",
        flag_value,
        "false",
        metavar="BOOL",
        flag="true",
    )

    origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """Where each value came from, by field name."""

    def __post_init__(self) -> None:
        """Close secrets that were given as plain text: a configuration made by hand must not show them either."""
        for each in fields(self):
            value = getattr(self, each.name)
            sensitive = each.metadata.get("option", {}).get("sensitive")
            if sensitive and isinstance(value, str) and not isinstance(value, Secret):
                object.__setattr__(self, each.name, Secret(value))

    @property
    def event_hubs_identity(self) -> ConnectionString | ServicePrincipal | ServiceCredential | None:
        """How to authenticate to Event Hubs; a secret reference is resolved here.

        Raises:
            ConnectionStringError: If the connection string is malformed.
        """
        if self.event_hubs_connection_string is not None:
            origin = self.origins.get("event_hubs_connection_string")
            return parse_connection_string(self.event_hubs_connection_string, origin=origin)
        if self.event_hubs_service_credential:
            return ServiceCredential(self.event_hubs_service_credential)
        if self.event_hubs_tenant_id and self.event_hubs_client_id and self.event_hubs_client_secret is not None:
            return ServicePrincipal(self.event_hubs_tenant_id, self.event_hubs_client_id, self.event_hubs_client_secret)
        return None

    @property
    def given_secrets(self) -> tuple[Secret, ...]:
        """Every secret option that has a value; references are not looked up."""
        values = (getattr(self, each.name) for each in fields(self))
        return tuple(value for value in values if isinstance(value, Secret))

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every secret, for `redact` and `RedactingFilter`: also the key inside the connection string, by itself."""
        try:
            identity = self.event_hubs_identity
        except ConfigurationError:
            identity = None  # what cannot be read cannot be shown either
        return (*self.given_secrets, *(identity.parts if isinstance(identity, ConnectionString) else ()))

    @property
    def parse_options(self) -> dict[str, Any]:
        """The keyword arguments of `parse` beside the schema."""
        return {
            "engine": self.parse_engine,
            "unknown": self.unknown_fields,
            "max_body_bytes": self.max_body_bytes,
            "max_depth": self.max_depth,
        }

    @property
    def flatten_options(self) -> dict[str, Any]:
        """The keyword arguments of `flatten_plan` beside schema and column."""
        return {
            "separator": self.flatten_separator,
            "arrays": self.flatten_arrays,
            "maps": self.flatten_maps,
            "policies": dict(self.flatten_policies),
            "rename": dict(self.flatten_rename),
            "keep": self.flatten_keep,
            "on_collision": self.flatten_on_collision,
            "max_depth": self.flatten_max_depth,
            "max_columns": self.flatten_max_columns,
            "presence": self.flatten_presence,
        }

    @property
    def source_identity(self) -> str:
        """Name the source without secrets, for the checkpoint's guard: `sb://HOST/HUB`, or the files' path."""
        if self.source == "files":
            return f"files {self.source_path}"
        identity = self.event_hubs_identity
        if isinstance(identity, ConnectionString):
            return f"sb://{identity.host}/{identity.hub or self.event_hubs_name}"
        return f"sb://{namespace_host(self.event_hubs_namespace or '')}/{self.event_hubs_name}"

    @property
    def write_options(self) -> dict[str, Any]:
        """The keyword arguments of `write_stream` beside frame, parse and transform."""
        from spark_utils.schemas import load_schema

        return {
            "output_path": self.output_path,
            "checkpoint_path": self.checkpoint_path,
            "trigger": self.trigger.options,
            "partition_by": self.partition_by,
            "schema_changes": self.schema_changes,
            "accept_new_checkpoint": self.accept_new_checkpoint,
            "identity": {"source": self.source_identity, "schema": load_schema(self.schema).simpleString()},
        }
