"""The language of cluster policies: what a definition may say, and what it makes of a cluster.

Source: https://learn.microsoft.com/azure/databricks/admin/clusters/policy-definition
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from local_workspace.errors import ApiError, invalid

Rule = dict[str, Any]
Definition = dict[str, Rule]

# What each kind of rule must say.
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "fixed": ("value",),
    "forbidden": (),
    "allowlist": ("values",),
    "blocklist": ("values",),
    "regex": ("pattern",),
    "range": (),
    "unlimited": (),
}
KNOWN: Final = {"type", "value", "values", "pattern", "minValue", "maxValue", "defaultValue", "isOptional", "hidden"}
MAPS: Final = ("spark_conf", "custom_tags", "spark_env_vars")
CLUSTER_TYPE: Final = "cluster_type"  # an attribute that no cluster has: what the cluster is for
UNCHECKED: Final = ("dbus_per_hour",)


def parse(text: str | None, source: str = "definition") -> Definition:
    """Read a definition.

    Args:
        text: JSON: a path such as ``autoscale.max_workers`` to a rule.
        source: The field that it came from, for errors.

    Raises:
        ApiError: 400 unless it is a JSON object of well-formed rules.
    """
    try:
        content = json.loads(text or "{}")
    except ValueError as error:
        raise _malformed(source, f"invalid JSON: {error}") from None
    if not isinstance(content, dict):
        raise _malformed(source, "it must be a JSON object of attribute to rule")
    for path, rule in content.items():
        _check_rule(source, path, rule)
    return content


def _check_rule(source: str, path: str, rule: object) -> None:
    if not isinstance(rule, dict) or rule.get("type") not in KINDS:
        raise _malformed(source, f"{path}: a rule has a type, one of {', '.join(KINDS)}")
    unknown = sorted(set(rule) - KNOWN)
    if unknown:
        raise _malformed(source, f"{path}: unknown field {unknown[0]}; the fields are {', '.join(sorted(KNOWN))}")
    kind = str(rule["type"])
    for needed in KINDS[kind]:
        if needed not in rule:
            raise _malformed(source, f"{path}: a rule of type {kind} needs {needed}")
    if kind == "range" and not {"minValue", "maxValue"} & set(rule):
        raise _malformed(source, f"{path}: a rule of type range needs minValue or maxValue")
    if kind == "regex":
        _compile(source, path, str(rule["pattern"]))


def _compile(source: str, path: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise _malformed(source, f"{path}: invalid regular expression {pattern!r}: {error}") from None


def apply(definition: Definition, spec: dict[str, Any], cluster_type: str, *, defaults: bool) -> dict[str, Any]:
    """Fill in what a policy fixes, and refuse what it forbids.

    Args:
        definition: A parsed definition.
        spec: The cluster that is asked for, as JSON; not changed.
        cluster_type: ``all-purpose``, ``job`` or ``dlt``.
        defaults: Whether default values are filled in too, not only fixed ones.

    Returns:
        The cluster with the policy's values.

    Raises:
        ApiError: 400 for the first attribute that breaks a rule.
    """
    filled: dict[str, Any] = json.loads(json.dumps(spec))
    for path, rule in definition.items():
        value = rule.get("value", rule.get("defaultValue") if defaults else None)
        if value is not None and path not in (CLUSTER_TYPE, *UNCHECKED) and "*" not in path and not find(filled, path):
            _put(filled, _parts(path), value)
    for path, rule in definition.items():
        if path not in UNCHECKED:
            values = [cluster_type] if path == CLUSTER_TYPE else find(filled, path)
            _enforce(path, rule, values)
    return filled


def _enforce(path: str, rule: Rule, values: list[Any]) -> None:
    if rule["type"] == "forbidden":
        if values:
            raise _violated(path, "the value must be absent", values[0])
        return
    needs = rule["type"] not in ("fixed", "unlimited") or "isOptional" in rule
    if not values and needs and not rule.get("isOptional", False) and "*" not in path:
        raise _violated(path, "the value must be present", None)
    for value in values:
        allowed, expectation = CHECKS[rule["type"]](rule, value)
        if not allowed:
            raise _violated(path, expectation, value)


def _same(one: object, other: object) -> bool:
    """Compare as the service does: ``true`` and ``"true"`` are the same in a Spark configuration."""
    return one == other or json.dumps(one).strip('"') == json.dumps(other).strip('"')


def _in_range(rule: Rule, value: Any) -> tuple[bool, str]:
    least, most = rule.get("minValue"), rule.get("maxValue")
    try:
        number = float(value)
    except (TypeError, ValueError):
        return False, "the value must be a number"
    fits = (least is None or number >= float(least)) and (most is None or number <= float(most))
    return fits, f"the value must be between {'-∞' if least is None else least} and {'∞' if most is None else most}"


def _listed(rule: Rule, value: Any) -> bool:
    return any(_same(value, each) for each in rule["values"])


CHECKS: Final[Mapping[str, Callable[[Rule, Any], tuple[bool, str]]]] = {
    "fixed": lambda rule, value: (_same(value, rule["value"]), f"the value must be {rule['value']}"),
    "allowlist": lambda rule, value: (_listed(rule, value), f"the value must be one of {rule['values']}"),
    "blocklist": lambda rule, value: (not _listed(rule, value), f"the value must not be one of {rule['values']}"),
    "regex": lambda rule, value: (
        re.fullmatch(rule["pattern"], str(value)) is not None,
        f"the value must match the pattern {rule['pattern']}",
    ),
    "range": _in_range,
    "unlimited": lambda _rule, _value: (True, ""),
}


def find(spec: Any, path: str) -> list[Any]:
    """Return the values at a path; several where it has a ``*``, none where the attribute is not set."""
    found = [spec]
    for part in _parts(path):
        found = [inner for each in found for inner in _step(each, part)]
    return [each for each in found if each is not None]


def _step(value: Any, part: str) -> list[Any]:
    if isinstance(value, dict):
        return [value[part]] if part in value else []
    if isinstance(value, list):
        if part == "*":
            return value
        return [value[int(part)]] if part.isdigit() and int(part) < len(value) else []
    return []


def _parts(path: str) -> list[str]:
    """Split at dots, except in the keys of a Spark configuration, of tags and of variables."""
    first, _, rest = path.partition(".")
    return [first, rest] if first in MAPS and rest else path.split(".")


def _put(target: Any, parts: list[str], value: Any) -> None:
    first, rest = parts[0], parts[1:]
    if isinstance(target, list):
        while len(target) <= int(first):
            target.append({})
        inner: Any = target[int(first)]
    else:
        inner = target.get(first)
        if rest and inner is None:
            inner = target[first] = [] if rest[0].isdigit() else {}
    if rest:
        _put(inner, rest, value)
    else:
        target[int(first) if isinstance(target, list) else first] = value


def _malformed(source: str, why: str) -> ApiError:
    return invalid(f"The policy's {source} is invalid: {why}")


def _violated(path: str, expectation: str, value: Any) -> ApiError:
    given = "" if value is None else f' (is "{value}")'
    return invalid(f"Cluster validation error: Validation failed for {path}, {expectation}{given}")
