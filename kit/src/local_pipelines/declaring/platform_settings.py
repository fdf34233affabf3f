"""Settings of the platform (``pipelines.…``): of a table's properties, of a ``spark_conf``, of the configuration.

Names and the interval's form: https://docs.databricks.com/ldp/properties and https://docs.databricks.com/ldp/pipeline-mode.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping

from local_pipelines.declaring.model import PLATFORM, RESET_ALLOWED, Definitions, Flow
from local_pipelines.errors import Place, Problem
from spark_utils.names import suggestion

INTERVAL = "pipelines.trigger.interval"
OBEYED = (INTERVAL, RESET_ALLOWED)
# Databricks knows these, and there is nothing on one machine that they could change.
WITHOUT_EFFECT = (
    *("pipelines.autoOptimize.managed", "pipelines.autoOptimize.zOrderCols", "pipelines.channel", "pipelines.trigger"),
    *("pipelines.cdc.tombstoneGCThresholdInSeconds", "pipelines.cdc.tombstoneGCFrequencyInSeconds"),
    *("pipelines.applyChanges.tombstoneGCThresholdInSeconds", "pipelines.applyChanges.tombstoneGCFrequencyInSeconds"),
    *("pipelines.clusterShutdown.delay", "pipelines.enableTrackHistory", "pipelines.incompatibleViewCheck.enabled"),
    *("pipelines.maxFlowRetryAttempts", "pipelines.numUpdateRetryAttempts"),
    "pipelines.tableManagedByMultiplePipelinesCheck.enabled",
)
UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
FORM = re.compile(rf"([1-9]\d*)\s+({'|'.join(UNITS)})s?", re.IGNORECASE)


def interval_of(flow: Flow, definitions: Definitions) -> int | None:
    """Return every how many seconds a flow of a continuous update runs, where its code or configuration says so."""
    dataset = definitions.datasets.get(flow.target) if not isinstance(flow.target, str) else None
    for given in (flow.spark_conf, dataset.properties if dataset else {}, definitions.parameters):
        if (found := FORM.fullmatch(given.get(INTERVAL, "").strip())) is not None:
            return int(found[1]) * UNITS[found[2].lower()]
    return None


def setting_problems(definitions: Definitions) -> Iterator[Problem]:
    """Return the settings whose name or value is wrong, and warn of those that do nothing here."""
    given: list[tuple[Mapping[str, str], Place | None]] = [(definitions.parameters, None)]
    for dataset in definitions.datasets.values():
        given += [(dataset.properties, dataset.place), (dataset.spark_conf, dataset.place)]
    given += [(flow.spark_conf, flow.place) for flow in definitions.flows.values()]
    idle = set()
    for settings, place in given:
        for key, value in settings.items():
            if key == INTERVAL and not FORM.fullmatch(value.strip()):
                yield Problem(f"{key}: invalid interval '{value}'; write a number and a unit: 10 seconds", place)
            elif key.startswith(PLATFORM) and key not in OBEYED:
                near = key not in WITHOUT_EFFECT and suggestion(key, [*OBEYED, *WITHOUT_EFFECT], prefix=PLATFORM)
                if near:
                    yield Problem(f"unknown setting '{key}'{near}", place)
                else:
                    idle.add(key)
    if idle:
        warnings.warn(f"without effect on this machine: {', '.join(sorted(idle))}", stacklevel=2)
