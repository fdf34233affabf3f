"""The modules that a pipeline's files import: `dlt` and `pyspark.pipelines`, while a pipeline is read and run.

`dlt` is also the name of dlt-hub's package, so the module stands only as long as a pipeline runs; whatever was
imported by that name before is back afterwards.
"""

from __future__ import annotations

import functools
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

import pyspark

from local_pipelines.declaring import api
from local_pipelines.declaring.registry import current
from local_pipelines.errors import PipelineError
from local_pipelines.flows import reads
from spark_utils.names import suggestion


def _old(name: str, new: Callable[..., Any], new_name: str) -> Callable[..., Any]:
    @functools.wraps(new)
    def call(*args: Any, **kwargs: Any) -> Any:
        said = f"{name} is deprecated: use {new_name}"
        warnings.warn(said, DeprecationWarning, stacklevel=2)
        (reads.current() or current()).definitions.deprecations.add(said)
        return new(*args, **kwargs)

    return call


def _snapshot_by_old_keywords(*args: Any, **kwargs: Any) -> Any:
    if "snapshot_and_version" in kwargs:
        kwargs["source"] = kwargs.pop("snapshot_and_version")
    return api.create_auto_cdc_from_snapshot_flow(*args, **kwargs)


NAMES: dict[str, Callable[..., Any]] = {
    **{
        function.__name__: function
        for function in (
            api.table,
            api.materialized_view,
            api.temporary_view,
            api.append_flow,
            api.update_flow,
            api.replace_flow,
            api.create_streaming_table,
            api.create_sink,
            api.foreach_batch_sink,
            api.expect,
            api.expect_or_drop,
            api.expect_or_fail,
            api.expect_all,
            api.expect_all_or_drop,
            api.expect_all_or_fail,
            api.create_auto_cdc_flow,
            api.create_auto_cdc_from_snapshot_flow,
            api.read,
            api.read_stream,
            api.on_event_hook,
        )
    },
    "view": api.temporary_view,
    "apply_changes": api.create_auto_cdc_flow,
    "apply_changes_from_snapshot": _snapshot_by_old_keywords,
    "readStream": _old("readStream", api.read_stream, "read_stream"),
    "create_target_table": _old("create_target_table", api.create_streaming_table, "create_streaming_table"),
    "create_streaming_live_table": _old(
        "create_streaming_live_table", api.create_streaming_table, "create_streaming_table"
    ),
    "create_table": _old("create_table", api.table, "table"),
    "create_view": _old("create_view", api.temporary_view, "temporary_view"),
}


_MISSING = object()


def _module(name: str) -> ModuleType:
    module = ModuleType(name, f"{name}, as a pipeline of this machine sees it.")
    module.__dict__.update(NAMES)
    module.__dict__["__all__"] = sorted(NAMES)

    def unknown(attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        raise PipelineError(f"{name} has no '{attribute}'{suggestion(attribute, NAMES)}")

    module.__dict__["__getattr__"] = unknown
    return module


@contextmanager
def importable() -> Iterator[None]:
    """Let ``import dlt`` and ``from pyspark import pipelines`` give ours inside this block."""
    with suppress(ImportError):  # Spark 4.0 has none, and 4.1's wants packages of Spark Connect
        importlib.import_module("pyspark.pipelines")  # so that a later import does not put Spark's own over ours
    dlt, pipelines = _module("dlt"), _module("pyspark.pipelines")
    ours = {"dlt": dlt, "pyspark.pipelines": pipelines}
    hidden = {name: module for name, module in sys.modules.items() if name in ours or name.startswith("dlt.")}
    attribute = getattr(pyspark, "pipelines", _MISSING)
    for name in hidden:
        del sys.modules[name]
    sys.modules.update(ours)
    pyspark.pipelines = pipelines  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for name in ours:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)
        if attribute is _MISSING:
            del pyspark.pipelines  # type: ignore[attr-defined]
        else:
            pyspark.pipelines = attribute  # type: ignore[attr-defined]
