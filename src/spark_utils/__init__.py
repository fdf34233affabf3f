"""What runs on the cluster: source, parse, flatten, sink and preview of a streaming job.

The public names below are all there is; `from spark_utils import *` gives exactly these. Each is loaded when it is
first used, so that a command which needs no Spark does not wait for its import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spark_utils.configuration.arguments import parse_arguments
    from spark_utils.configuration.secrets import Secret
    from spark_utils.configuration.settings import (
        FlattenOptions,
        OutputOptions,
        ParseOptions,
        SourceOptions,
        StorageOptions,
        StreamingConfig,
    )
    from spark_utils.configuration.show_config import show_config
    from spark_utils.errors import (
        CheckpointMismatchError,
        ConfigurationError,
        ConnectionStringError,
        FlattenError,
        RuntimeSetupError,
        SchemaError,
        SparkUtilsError,
        StreamFailedError,
    )
    from spark_utils.flattening import FlattenPlan, flatten, flatten_plan, unflatten
    from spark_utils.parsing import Reason, good_rows, good_schema, parse, rejected_rows
    from spark_utils.schemas import load_schema
    from spark_utils.session import get_dbutils, get_session
    from spark_utils.sinks.storage import configure_storage
    from spark_utils.sinks.write_stream import write_stream
    from spark_utils.sources.event_hubs import kafka_options
    from spark_utils.sources.read_stream import read_batch, read_stream
    from spark_utils.streaming_utils.progress import attach_progress
    from spark_utils.streaming_utils.streaming_preview import preview_stream
    from spark_utils.streaming_utils.termination import await_termination, readable_errors

__version__ = "0.1.0"

_HOME = {
    "configuration.arguments": ["parse_arguments"],
    "configuration.settings": [
        "FlattenOptions",
        "OutputOptions",
        "ParseOptions",
        "SourceOptions",
        "StorageOptions",
        "StreamingConfig",
    ],
    "errors": [
        "CheckpointMismatchError",
        "ConfigurationError",
        "ConnectionStringError",
        "FlattenError",
        "RuntimeSetupError",
        "SchemaError",
        "SparkUtilsError",
        "StreamFailedError",
    ],
    "sources.event_hubs": ["kafka_options"],
    "flattening": ["FlattenPlan", "flatten", "flatten_plan", "unflatten"],
    "parsing": ["Reason", "good_rows", "good_schema", "parse", "rejected_rows"],
    "schemas": ["load_schema"],
    "configuration.secrets": ["Secret"],
    "session": ["get_dbutils", "get_session"],
    "configuration.show_config": ["show_config"],
    "sinks.write_stream": ["write_stream"],
    "sources.read_stream": ["read_batch", "read_stream"],
    "sinks.storage": ["configure_storage"],
    "streaming_utils.progress": ["attach_progress"],
    "streaming_utils.streaming_preview": ["preview_stream"],
    "streaming_utils.termination": ["await_termination", "readable_errors"],
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "CheckpointMismatchError",
    "ConfigurationError",
    "ConnectionStringError",
    "FlattenError",
    "FlattenOptions",
    "FlattenPlan",
    "OutputOptions",
    "ParseOptions",
    "Reason",
    "RuntimeSetupError",
    "SchemaError",
    "Secret",
    "SourceOptions",
    "SparkUtilsError",
    "StorageOptions",
    "StreamFailedError",
    "StreamingConfig",
    "attach_progress",
    "await_termination",
    "configure_storage",
    "flatten",
    "flatten_plan",
    "get_dbutils",
    "get_session",
    "good_rows",
    "good_schema",
    "kafka_options",
    "load_schema",
    "parse",
    "parse_arguments",
    "preview_stream",
    "read_batch",
    "read_stream",
    "readable_errors",
    "rejected_rows",
    "show_config",
    "unflatten",
    "write_stream",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'spark_utils' has no attribute {name!r}")
    value = getattr(import_module(f"spark_utils.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
