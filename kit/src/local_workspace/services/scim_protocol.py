"""The protocol of SCIM apart from what is kept: filters, patches, the attributes shown, and errors.

Source: RFC 7644, sections 3.4.2.2 (filters), 3.5.2 (patches), 3.4.2.5 (attributes) and 3.12 (errors)
"""

from __future__ import annotations

import re
from typing import Any, Final

from local_workspace.errors import ApiError

LIST_SCHEMA: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR_SCHEMA: Final = "urn:ietf:params:scim:api:messages:2.0:Error"
Json = dict[str, Any]
_TERM: Final = re.compile(r"""\s*([\w.$]+)\s+(eq|ne|co|sw|ew)\s+("(?:[^"\\]|\\.)*"|'[^']*'|[^\s"']+)\s*""", re.I)
_JOINT: Final = re.compile(r"(and|or)\b", re.I)
_SELECTED: Final = re.compile(r"""(\w+)\[\s*(\w+)\s+eq\s+["']?([^"'\]]*)["']?\s*\]""", re.I)
_EXACT: Final = ("id", "applicationId", "externalId", "value")  # the others ignore case


class ScimError(ApiError):
    """A refusal in the words of SCIM.

    Args:
        status: The HTTP status.
        detail: One sentence.
        kind: SCIM's own error kind, such as ``uniqueness``.
    """

    def __init__(self, status: int, detail: str, kind: str | None = None) -> None:
        super().__init__(status, f"SCIM_{status}", detail)
        self._kind = kind

    def body(self) -> dict[str, object]:
        """Return the JSON body."""
        body: dict[str, object] = {"schemas": [ERROR_SCHEMA], "status": str(self.status), "detail": self.message}
        return {**body, "scimType": self._kind} if self._kind else body


def matches(content: Json, text: str | None) -> bool:
    """Return whether a resource fits a filter such as ``displayName eq "a" and active eq true``; ``and`` binds closer.

    Raises:
        ApiError: 400 when the filter is malformed.
    """
    return not text or any(all(_holds(content, term) for term in terms) for terms in _parse(text))


def _parse(text: str) -> list[list[re.Match[str]]]:
    alternatives: list[list[re.Match[str]]] = [[]]
    position = 0
    while True:
        term = _TERM.match(text, position)
        if term is None:
            raise ScimError(400, f"Given filter operator is not supported: {text}", "invalidFilter")
        alternatives[-1].append(term)
        position = term.end()
        if position == len(text):
            return alternatives
        joint = _JOINT.match(text, position)
        if joint is None:
            raise ScimError(400, f"Given filter is malformed: {text}", "invalidFilter")
        if joint[1].lower() == "or":
            alternatives.append([])
        position = joint.end()


def _holds(content: Json, term: re.Match[str]) -> bool:
    path, operator, wanted = term[1], term[2].lower(), term[3].strip("\"'")
    exact = path.rpartition(".")[2] in _EXACT
    values = [value if exact else value.casefold() for value in _values(content, path.split("."))]
    wanted = wanted if exact else wanted.casefold()
    if operator == "ne":
        return wanted not in values
    tests = {"eq": str.__eq__, "co": str.__contains__, "sw": str.startswith, "ew": str.endswith}
    return any(tests[operator](value, wanted) for value in values)


def _values(value: Any, path: list[str]) -> list[str]:
    if isinstance(value, list):
        return [found for each in value for found in _values(each, path)]
    if path:
        inner = next((value[key] for key in value if key.lower() == path[0].lower()), None) if value else None
        return [] if inner is None else _values(inner, path[1:])
    if isinstance(value, dict):
        return _values(value.get("value"), [])
    return [] if value is None else [str(value).lower() if isinstance(value, bool) else str(value)]


def patched(content: Json, operations: list[Json]) -> Json:
    """Return a resource with the operations of a patch applied; the original stays.

    Raises:
        ApiError: 400 for an invalid operation.
    """
    result = {key: [*value] if isinstance(value, list) else value for key, value in content.items()}
    for each in operations:
        operation, path, value = str(each.get("op")).lower(), each.get("path"), each.get("value")
        if operation not in ("add", "remove", "replace"):
            raise ScimError(400, f"op must be add, remove or replace, not {each.get('op')!r}", "invalidSyntax")
        if operation != "remove" and value is None:
            raise ScimError(400, f"The operation {operation} needs a value", "invalidValue")
        if path:
            _patch(result, operation, str(path), value)
        elif isinstance(value, dict) and operation != "remove":
            for name, inner in value.items():
                _patch(result, operation, name, inner)
        else:
            raise ScimError(400, f"The operation {operation} needs a path", "noTarget")
    return result


def _patch(result: Json, operation: str, path: str, value: Any) -> None:
    selected = _SELECTED.fullmatch(path)
    if selected is not None:
        name, field, wanted = selected[1], selected[2], selected[3]
        result[name] = [each for each in result.get(name, []) if str(each.get(field)) != wanted]
        if operation == "remove":
            return
        path = name
    given = value if isinstance(value, list) else [value]
    if operation == "remove":
        _remove(result, path, [] if value is None else given)
    elif operation == "add" and (isinstance(value, list) or isinstance(result.get(path), list)):
        known = result.get(path, [])
        result[path] = known + [each for each in map(_item, given) if each.get("value") not in _ids(known)]
    else:
        result[path] = [_item(each) for each in value] if isinstance(value, list) else value


def _remove(result: Json, path: str, given: list[Any]) -> None:
    if not given:
        result.pop(path, None)
        return
    gone = [_item(each).get("value") for each in given]
    result[path] = [each for each in result.get(path, []) if each.get("value") not in gone]


def _item(value: Any) -> Json:
    return value if isinstance(value, dict) else {"value": value}


def _ids(items: list[Json]) -> list[Any]:
    return [each.get("value") for each in items]


def shown(content: Json, attributes: str | None, excluded: str | None) -> Json:
    """Return the attributes that were asked for; ``id`` is always shown."""
    wanted = {name.strip().partition(".")[0] for name in attributes.split(",")} if attributes else set(content)
    unwanted = {name.strip() for name in excluded.split(",")} if excluded else set()
    return {key: value for key, value in content.items() if key == "id" or (key in wanted and key not in unwanted)}
