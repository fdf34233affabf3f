"""Names where the service wants ids: looked up in what was found, and in what the same apply will create."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from devkit.deploy.catalogue import REFERENCES
from devkit.deploy.checking import suggestion
from devkit.deploy.model import Found, Json, Pending, Wanted, replaced


class Names:
    """What each name stands for once the declaration is applied.

    Args:
        found: What exists.
        wanted: What is declared, with what was found of each; None for what has to be created.
    """

    def __init__(self, found: Iterable[Found], wanted: Iterable[tuple[Wanted, Found | None]]) -> None:
        self._ids: dict[tuple[str, str], list[str | Pending]] = {}
        self._known: set[tuple[str, str]] = set()
        declared = list(wanted)
        ours = {(match.kind, match.id) for _, match in declared if match is not None}
        for existing in found:
            self._known.add((existing.kind, existing.id))
            if (existing.kind, existing.id) not in ours:
                self._ids.setdefault((existing.kind, existing.name), []).append(existing.id)
        for each, match in declared:
            identity = match.id if match is not None else Pending(each.kind, each.name)
            self._ids.setdefault((each.kind, each.name), []).append(identity)

    def forget(self, wanted: Wanted) -> None:
        """Make the id of a resource pending again: it is going to be replaced."""
        self._ids[wanted.kind, wanted.name] = [Pending(wanted.kind, wanted.name)]

    def learn(self, wanted: Wanted, identity: str) -> None:
        """Remember the id of what was just created."""
        self._ids[wanted.kind, wanted.name] = [identity]

    def resolve(self, wanted: Wanted) -> tuple[dict[str, Json], list[str]]:
        """Return the body with ids for names, and the mistakes: names that are missing or ambiguous."""
        mistakes: list[str] = []

        def change(path: str, field: str, value: Json) -> Json:
            kind = referred_kind(path, field, wanted.kind)
            if kind is None or not isinstance(value, str):
                return value
            try:
                return _typed(field, self._lookup(kind, value))
            except LookupError as error:
                mistakes.append(f"{wanted.places.get(path, wanted.origin)}: {field}: {error}")
                return value

        return replaced(wanted.body, change), mistakes

    def _lookup(self, kind: str, name: str) -> str | Pending:
        ids = self._ids.get((kind, name), [])
        if len(ids) == 1:
            return ids[0]
        what = kind.replace("_", " ")
        if ids:
            shown = ", ".join(str(each) for each in ids)
            raise LookupError(f"{len(ids)} {what} are called {name!r} ({shown}); rename all but one, or write the id")
        if (kind, name) in self._known:
            return name  # it is an id already
        hint = suggestion(name, [each for of, each in self._ids if of == kind])
        raise LookupError(f"there is none of the {what} called {name!r}; {hint}")


def references(body: dict[str, Json], kind: str) -> list[tuple[str, str]]:
    """Return the kinds and names that a body refers to."""
    found: list[tuple[str, str]] = []

    def note(path: str, field: str, value: Json) -> Json:
        referred = referred_kind(path, field, kind)
        if referred is not None and isinstance(value, str):
            found.append((referred, value))
        return value

    replaced(body, note)
    return found


def referred_kind(path: str, field: str, kind: str) -> str | None:
    """Return the kind whose name may stand in a field, or None."""
    if field == "job_id" and not path.endswith("run_job_task.job_id"):
        return None
    free_text = any(part in path for part in ("parameters.", "spark_conf.", "spark_env_vars.", "custom_tags.", "tags."))
    return None if free_text or kind == "permissions" else REFERENCES.get(field)


def _typed(field: str, identity: str | Pending) -> Any:
    return int(identity) if field == "job_id" and isinstance(identity, str) and identity.isdigit() else identity
