"""Classes whose outputs become datasets of a declarative pipeline by configuration, on Databricks and here.

::

    class Orders(DLTMetaMixin):
        def clean(self) -> DataFrame:
            return self.spark.readStream.table(self.conf["source"])

    Orders(spark, {"source": "raw", "dlt": {"func_name": "clean", "kind": "table",
           "expectations": [{"name": "positive", "constraint": "amount > 0"}], "expectation_action": "drop"}})

The keys are those of dltflow's documentation, under both spellings where it has two. An output with a ``source`` needs
no method, and no class but `DLTMetaMixin` itself: see `spark_utils.pipelines.steps`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from pyspark.sql import SparkSession

from spark_utils.errors import ConfigurationError
from spark_utils.names import suggestion
from spark_utils.pipelines.steps import frame_of, problems_of, unknown_keys

ACTIONS = {"allow": "expect_all", "drop": "expect_all_or_drop", "fail": "expect_all_or_fail"}
KEYS = (
    *("func_name", "kind", "expectations", "expectation_action", "is_streaming_table", "is_streaming"),
    *("append_config", "apply_cdc_config", "apply_chg_config", "write_opts", "source", "steps"),
)
WRITE_OPTIONS = (
    *("name", "comment", "spark_conf", "table_properties", "path", "partition_cols", "schema", "temporary", "private"),
    *("cluster_by", "row_filter", "database", "tablename"),
)
RULE_KEYS = ("name", "constraint", "inv", "action")
APPEND_KEYS = ("target", "name", "comment", "spark_conf", "once")
CDC_KEYS = (
    *("target", "source", "keys", "sequence_by", "where", "ignore_null_updates", "apply_as_deletes"),
    *("apply_as_truncates", "column_list", "except_column_list", "stored_as_scd_type", "track_history_column_list"),
    *("track_history_except_column_list", "flow_name", "name", "once", "ignore_null_updates_column_list"),
    *("ignore_null_updates_except_column_list", "columns_to_update", "system_sequence_by", "spark_conf"),
)
PROPERTIES = {  # dltflow's short names of table properties
    "managed_optimize": "pipelines.autoOptimize.managed",
    "z_order_cols": "pipelines.autoOptimize.zOrderCols",
    "allow_reset": "pipelines.reset.allowed",
}


class DLTMetaMixin:
    """Declares the outputs of a class that its configuration names under ``dlt``: one mapping, or a list of them.

    Each output names a method without arguments that returns a DataFrame, or has a source and steps. It becomes a table
    or view, or with ``append_config`` a flow into a streaming table, or with ``apply_cdc_config`` the source of an AUTO
    CDC flow.

    Attributes:
        spark: The session.
        conf: The whole configuration.

    Raises:
        ConfigurationError: A key is unknown or missing, or a value is impossible; all mistakes at once.
    """

    spark: SparkSession
    conf: Mapping[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Declare the outputs; done here, since another base's ``__init__`` may not call ours."""
        made = super().__new__(cls)
        given = dict(zip(("spark", "init_conf"), args, strict=False)) | kwargs
        session = given.get("spark") or SparkSession.getActiveSession()
        if session is None:
            raise ConfigurationError("no Spark session is active", origin=cls.__name__, remedy="Pass spark=…")
        made.spark, made.conf = session, given.get("init_conf") or {}
        outputs = made.conf.get("dlt")
        if outputs is not None:
            made._declare([outputs] if isinstance(outputs, Mapping) else list(outputs))
        return made

    def __init__(self, spark: SparkSession | None = None, init_conf: Mapping[str, Any] | None = None) -> None:
        """Take session and configuration; `__new__` has done the work."""

    def _declare(self, outputs: list[Mapping[str, Any]]) -> None:
        problems = [problem for number, output in enumerate(outputs) for problem in self._problems(number, output)]
        if problems:
            raise ConfigurationError("; ".join(problems), origin=f"the key 'dlt' of {type(self).__name__}")
        for output in outputs:
            self._declare_output(output)

    def _problems(self, number: int, output: Any) -> Iterable[str]:
        where = f"dlt[{number}]"
        if not isinstance(output, Mapping):
            yield f"{where}: a mapping is expected, not {output!r}"
            return
        yield from unknown_keys(where, output, KEYS)
        if "source" in output:
            yield from problems_of(where, output)
            yield from [] if output.get("func_name") else [f"{where}: 'func_name' is missing: it names the output"]
        else:
            yield from self._method_problems(where, output.get("func_name"))
            yield from [f"{where}: steps need the key 'source'"] if output.get("steps") else []
        if output.get("kind", "table") not in ("table", "view"):
            yield f"{where}: kind must be table or view, not {output['kind']!r}"
        yield from _rule_problems(where, output)
        yield from unknown_keys(f"{where}.write_opts", output.get("write_opts") or {}, WRITE_OPTIONS)
        yield from unknown_keys(f"{where}.append_config", output.get("append_config") or {}, APPEND_KEYS)
        yield from unknown_keys(f"{where}.apply_cdc_config", _cdc_of(output) or {}, CDC_KEYS)
        targets = [output.get("append_config"), output.get("apply_cdc_config"), output.get("apply_chg_config")]
        given = sum(target is not None for target in targets)
        if given > 1:
            yield f"{where}: append_config and apply_cdc_config exclude each other"
        if given == 0 and output.get("is_streaming_table"):
            yield f"{where}: is_streaming_table needs append_config or apply_cdc_config"

    def _method_problems(self, where: str, name: object) -> Iterable[str]:
        method = getattr(self, str(name), None)
        if name is None:
            yield f"{where}: 'func_name' is missing"
        elif not callable(method):
            yield f"{where}: {type(self).__name__} has no method '{name}'{suggestion(str(name), dir(type(self)))}"
        else:
            parameters = inspect.signature(method).parameters.values()
            if any(each.default is each.empty and each.kind < each.VAR_POSITIONAL for each in parameters):
                yield f"{where}: '{name}' takes arguments, but the function of a dataset takes none"

    def _declare_output(self, output: Mapping[str, Any]) -> None:
        import dlt  # type: ignore[import-not-found]  # Databricks gives it, and local_pipelines here

        rules, options = _rules_of(output), _options_of(output)
        append, cdc = output.get("append_config"), _cdc_of(output)

        def query() -> Any:
            if "source" in output:
                return frame_of(self.spark, output, Path(self.conf.get("root_path") or "."))
            return getattr(self, output["func_name"])()

        query.__name__ = output["func_name"]
        if append is not None:
            target = {**options, "name": options.get("name", append["target"])}
            dlt.create_streaming_table(**target, **rules)
            dlt.append_flow(**{"name": output["func_name"], **append})(query)
        elif cdc is not None:
            dlt.create_streaming_table(**{**options, "name": options.get("name", cdc["target"])}, **rules)
            dlt.view(name=cdc["source"])(query)
            dlt.apply_changes(**cdc)
        else:
            decorated = dlt.view if output.get("kind") == "view" else dlt.table
            for name, conditions in rules.items():
                query = getattr(dlt, name)(conditions)(query)
            decorated(**options)(query)


def _cdc_of(output: Mapping[str, Any]) -> Mapping[str, Any] | None:
    given = output.get("apply_cdc_config")
    return given if given is not None else output.get("apply_chg_config")


def _rule_problems(where: str, output: Mapping[str, Any]) -> Iterable[str]:
    rules = output.get("expectations") or ()
    for rule in rules:
        yield from unknown_keys(f"{where}.expectations", rule, RULE_KEYS)
        if "name" not in rule or not ("constraint" in rule or "inv" in rule):
            yield f"{where}.expectations: a rule needs name and constraint, not {dict(rule)}"
    for action in [output.get("expectation_action"), *(rule.get("action") for rule in rules)]:
        if action is not None and action not in ACTIONS:
            yield f"{where}: the action of an expectation must be allow, drop or fail, not {action!r}"


def _rules_of(output: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return conditions by the function of `dlt` that enforces them."""
    found: dict[str, dict[str, Any]] = {}
    for rule in output.get("expectations") or ():
        action = rule.get("action") or output.get("expectation_action") or "allow"
        found.setdefault(ACTIONS[action], {})[rule["name"]] = rule.get("constraint", rule.get("inv"))
    return found


def _options_of(output: Mapping[str, Any]) -> dict[str, Any]:
    options = {key: value for key, value in (output.get("write_opts") or {}).items() if value is not None}
    database, table = options.pop("database", None), options.pop("tablename", None)
    if "name" not in options and table is not None:
        options["name"] = f"{database}.{table}" if database else table
    if "table_properties" in options:
        given = options["table_properties"]
        options["table_properties"] = {PROPERTIES.get(key, key): str(value) for key, value in given.items()}
    if output.get("kind") == "view":
        options = {key: value for key, value in options.items() if key in ("name", "comment", "spark_conf")}
    return options
