"""The filters of the pipelines API: ``name LIKE '%a%'`` and ``level = 'ERROR' AND timestamp > '…'``.

Source: https://docs.databricks.com/api/azure/workspace/pipelines/listpipelineevents
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any, Final

from databricks.sdk.service.pipelines import GetPipelineResponse, PipelineEvent

from local_workspace.errors import invalid

PIPELINES: Final = re.compile(r"\s*(?:name\s+LIKE\s+'(?P<name>[^']*)'|notebook\s*=\s*'(?P<notebook>[^']*)')\s*", re.I)
CONDITION: Final = re.compile(
    r"\s*(?P<field>level|id|timestamp|update_id|origin\.update_id)\s*"
    r"(?:in\s*\((?P<many>[^)]*)\)|(?P<comparison>>=|<=|=|>|<)\s*'(?P<value>[^']*)')\s*",
    re.I,
)
COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


def pipeline_filter(text: str | None) -> Callable[[GetPipelineResponse], bool]:
    """Return a predicate: whether a filter selects a pipeline.

    Raises:
        ApiError: 400 unless the filter has one of the two known forms.
    """
    if not text:
        return lambda _: True
    found = PIPELINES.fullmatch(text)
    if not found:
        raise invalid(f"filter is name LIKE '<pattern>' or notebook='<path>', not {text!r}")
    if found["name"] is None:
        return lambda pipeline: found["notebook"] in _notebooks(pipeline)
    pattern = "".join({"%": ".*", "_": "."}.get(each, re.escape(each)) for each in found["name"])
    return lambda pipeline: re.fullmatch(pattern, pipeline.name or "", re.S) is not None


def event_filter(text: str | None) -> Callable[[PipelineEvent], bool]:
    """Return a predicate: whether a filter selects an event.

    Raises:
        ApiError: 400 when a part of the filter cannot be read.
    """
    conditions = [_condition(part) for part in re.split(r"\s+AND\s+", text, flags=re.I)] if text else []
    return lambda event: all(holds(event) for holds in conditions)


def _condition(part: str) -> Callable[[PipelineEvent], bool]:
    found = CONDITION.fullmatch(part)
    if not found:
        raise invalid(f"Invalid filter {part!r}: it must compare level, id, update_id or timestamp with a value")
    field = found["field"].lower()
    if found["many"] is not None:
        many = re.findall(r"'([^']*)'", found["many"])
        return lambda event: _value(event, field) in many
    return lambda event: COMPARISONS[found["comparison"]](_value(event, field), found["value"])


def _notebooks(pipeline: GetPipelineResponse) -> list[str | None]:
    libraries = (pipeline.spec.libraries if pipeline.spec else None) or []
    return [each.notebook.path for each in libraries if each.notebook]


def _value(event: PipelineEvent, field: str) -> str:
    if field == "level":
        return event.level.value if event.level else ""
    if field.endswith("update_id"):
        return (event.origin and event.origin.update_id) or ""
    return str(event.id if field == "id" else event.timestamp)
