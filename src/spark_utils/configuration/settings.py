"""The configuration of a streaming job: every option, declared once, in the groups that the job hands on."""

# ruff: noqa: RUF009 - option() is dataclasses.field() with a description; its defaults are immutable

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from spark_utils.configuration.options import (
    OptionGroup,
    flag,
    name_list,
    option,
    secret,
    text_map,
    whole_number,
    word,
)
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

SourceKind = Literal["hub", "files"]
Engine = Literal["auto", "jvm", "arrow"]
UnknownPolicy = Literal["keep", "count", "reject"]
SchemaChanges = Literal["refuse", "merge"]
OnCollision = Literal["error", "number"]


@dataclass(frozen=True, kw_only=True)
class SourceOptions(OptionGroup, title="Source"):
    """What `read_stream` and `read_batch` read."""

    kind: SourceKind = word(
        "Where events come from: an event hub, or files that are replayed.", "hub", "files", name="source"
    )
    path: str | None = option(
        "With --source files: a folder, file or pattern. *.recorded.jsonl keep key, position and time of each event; "
        "in any other file each line is a body.",
        name="source-path",
        path=True,
        example="data/recorded",
    )
    event_hubs_connection_string: Secret | None = secret(
        "Connection string of the event hub (or of its namespace, with --event-hubs-name).", metavar="SECRET"
    )
    event_hubs_name: str | None = option(
        "Event hub, when the connection string has no EntityPath.", example="telemetry"
    )
    event_hubs_namespace: str | None = option(
        "Namespace, or its full host; with a service principal or a service credential.",
        example="NAMESPACE.servicebus.windows.net",
    )
    event_hubs_tenant_id: str | None = option("Service principal: tenant (directory) id.")
    event_hubs_client_id: str | None = option("Service principal: client (application) id.")
    event_hubs_client_secret: Secret | None = secret("Service principal: client secret.")
    event_hubs_service_credential: str | None = option(
        "Name of a Unity Catalog service credential (Databricks only).", metavar="NAME"
    )
    consumer_group: str | None = option(
        "Prefix of the Kafka consumer groups that Spark makes up (groupIdPrefix).", metavar="NAME"
    )
    starting_position: StartingPosition = option(
        "Where a new checkpoint starts: earliest, latest, a time such as 2026-01-31T12:00:00Z, or JSON by partition "
        '({"0": 1200} offsets, {"0": "2026-01-31T12:00:00Z"} times).',
        StartingPosition.parse,
        "earliest",
    )
    max_events_per_trigger: int | None = option(
        "Upper bound of events in one micro-batch (hub only).", whole_number(1), metavar="N", example="100000"
    )

    @property
    def authentication(self) -> ConnectionString | ServicePrincipal | ServiceCredential | None:
        """How to authenticate to Event Hubs; a reference to the connection string is resolved here.

        Raises:
            ConnectionStringError: If the connection string is malformed.
        """
        if self.event_hubs_connection_string is not None:
            return parse_connection_string(self.event_hubs_connection_string)
        if self.event_hubs_service_credential:
            return ServiceCredential(self.event_hubs_service_credential)
        if self.event_hubs_tenant_id and self.event_hubs_client_id and self.event_hubs_client_secret is not None:
            return ServicePrincipal(self.event_hubs_tenant_id, self.event_hubs_client_id, self.event_hubs_client_secret)
        return None

    @property
    def identity(self) -> str:
        """The source's name without secrets, for the checkpoint's guard: `sb://HOST/HUB`, or the files' path."""
        if self.kind == "files":
            return f"files {self.path}"
        given = self.authentication
        if isinstance(given, ConnectionString):
            return f"sb://{given.host}/{given.hub or self.event_hubs_name}"
        return f"sb://{namespace_host(self.event_hubs_namespace or '')}/{self.event_hubs_name}"


@dataclass(frozen=True, kw_only=True)
class ParseOptions(OptionGroup, title="Parse"):
    """How `parse` reads bodies."""

    engine: Engine = word(
        "Engine that parses bodies: jvm, arrow (in Python workers), or auto: the JVM where it can. Same verdicts.",
        "auto",
        "jvm",
        "arrow",
        name="parse-engine",
    )
    unknown: UnknownPolicy = word(
        "Fields that the schema does not have: keep them in _unknown, count them, or reject the event.",
        "keep",
        "count",
        "reject",
        name="unknown-fields",
        metavar="POLICY",
    )
    max_body_bytes: int = option(
        "A longer body is rejected; the default is the ceiling of Event Hubs.", whole_number(1), "1048576"
    )
    max_depth: int = option("A body nested deeper is rejected.", whole_number(1), "64", metavar="N")


@dataclass(frozen=True, kw_only=True)
class FlattenOptions(OptionGroup, title="Flatten", prefix="flatten-"):
    """How `flatten_plan` makes columns of nested fields."""

    separator: str = option("Joins the names along a path.", default="_", metavar="TEXT")
    arrays: str = option(
        "Arrays without a policy of their own: keep, json, explode or `index N`.", default="keep", metavar="POLICY"
    )
    maps: str = option(
        "Maps without a policy of their own: keep, json, explode or `keys NAME,NAME`.",
        default="keep",
        metavar="POLICY",
    )
    policies: Mapping[str, str] = option(
        "Policies by path, as JSON.", text_map, "{}", metavar="JSON", example='{"readings": "explode"}'
    )
    rename: Mapping[str, str] = option(
        "New names by path, as JSON.", text_map, "{}", metavar="JSON", example='{"device.id": "device"}'
    )
    keep: tuple[str, ...] = option("Paths kept as they are, separated by commas.", name_list, "", metavar="PATHS")
    on_collision: OnCollision = word(
        "Two paths with one name: an error, or a number after the later one.", "error", "number", metavar="POLICY"
    )
    max_depth: int | None = option("A deeper schema is an error.", whole_number(1), metavar="N", example="10")
    max_columns: int | None = option("More columns are an error.", whole_number(1), metavar="N", example="2000")
    presence: bool = flag("Add a column that tells a null struct from one of nulls.")


@dataclass(frozen=True, kw_only=True)
class StorageOptions(OptionGroup, title="Storage account", prefix="storage-"):
    """How `configure_storage` authenticates to a storage account."""

    account_name: str | None = option(
        "Account (Azure Data Lake Storage Gen2) that relative output paths lie in, by its name (then in the cloud "
        "of the namespace) or its host; none: folders, volumes or URLs."
    )
    container_name: str = option("Container in the account.", default="data")
    account_key: Secret | None = secret("Account key.", environment="STREAMING_STORAGE_KEY")
    sas_token: Secret | None = secret("Shared access signature.")
    tenant_id: str | None = option("Service principal: tenant (directory) id.")
    client_id: str | None = option("Service principal: client (application) id.")
    client_secret: Secret | None = secret("Service principal: client secret.")
    endpoint: str = option("Host and port of Azurite, for the account devstoreaccount1.", default="127.0.0.1:10000")


@dataclass(frozen=True, kw_only=True)
class OutputOptions(OptionGroup, title="Output"):
    """Where and how `write_stream` writes."""

    path: str = option(
        "Folder, volume or URL that gets the tables `events` and `rejected`.",
        name="output-path",
        required=True,
        path=True,
        example="data/telemetry",
    )
    checkpoint_path: str = option(
        "Checkpoint of the query; by default OUTPUT_PATH/checkpoint, beside the tables.",
        path=True,
        example="data/telemetry/checkpoint",
    )
    trigger: Trigger = option(
        "When a micro-batch starts: available-now, once, or an interval such as `5 seconds`.",
        Trigger.parse,
        "available-now",
    )
    partition_by: str | None = option("Column of `events` that its files are laid out by.", metavar="COLUMN")
    schema_changes: SchemaChanges = word(
        "New columns of the transformation: refuse them, or merge them into the table `events`.",
        "refuse",
        "merge",
        metavar="POLICY",
    )
    accept_new_checkpoint: bool = flag(
        "Let a new checkpoint write to an output that another one has fed from this source."
    )


@dataclass(frozen=True, kw_only=True)
class StreamingConfig(OptionGroup, title="Demonstration and preview"):
    """What a streaming job is told; see `--help`, or configuration/README.md, for each value.

    Made by `parse_arguments`, or by hand in a test or a cell:
    `StreamingConfig(source=SourceOptions(kind="files", path="events/"))`.
    Secrets print as `***`; ask for one by `config.storage.account_key.reveal()`.
    """

    source: SourceOptions = field(default_factory=SourceOptions)
    schema: str = option(
        "Schema of the events: a file (JSON Schema, Spark JSON or DDL), or DDL text.",
        group=ParseOptions.title,
        required=True,
        path=True,
        example="configuration/schemas/telemetry.json",
    )
    parse: ParseOptions = field(default_factory=ParseOptions)
    flatten: FlattenOptions = field(default_factory=FlattenOptions)
    storage: StorageOptions = field(default_factory=StorageOptions)
    output: OutputOptions = field(default_factory=OutputOptions)

    preview: int = option(
        "Show this many rows before anything is written; 0: none.", whole_number(0), "0", metavar="ROWS", flag="20"
    )
    stop_after: StopAfter | None = option(
        "End by itself after a time (`30 seconds`) or a number of events (`1000 events`).",
        StopAfter.parse,
        example="30 seconds",
    )
    spark: str = word(
        "Where there is no cluster: start a local Spark of its own (classic), or attach by Spark Connect to the one "
        "that `devkit spark up` keeps ready (warm).",
        "classic",
        "warm",
    )
    fast_start: bool = flag(
        "Start a local session in a third of the time, at the price of throughput; without effect on a cluster."
    )

    origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """Where each value came from, by the option's name."""

    @property
    def given_secrets(self) -> tuple[Secret, ...]:
        """Every secret option that has a value; references are not looked up."""
        groups = (self.source, self.storage)
        values = (getattr(group, each.name) for group in groups for each in fields(group))
        return tuple(value for value in values if isinstance(value, Secret))

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every secret, for `redact` and `RedactingFilter`: also the key inside the connection string, by itself."""
        try:
            given = self.source.authentication
        except ConfigurationError:
            given = None  # what cannot be read cannot be shown either
        return (*self.given_secrets, *(given.parts if isinstance(given, ConnectionString) else ()))
