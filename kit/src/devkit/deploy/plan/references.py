"""Names where the service expects ids: looked up in the actual state, and in what the same apply will create."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from devkit.deploy.declaration.checking import suggestion
from devkit.deploy.declaration.kinds import ORDER, REFERENCES
from devkit.deploy.declaration.model import Desired, Json
from devkit.deploy.errors import DeclarationError
from devkit.deploy.plan.model import Actual, Pending


class References:
    """What each name stands for once the declaration is applied.

    Args:
        state: The actual resources.
        pairs: The desired resources, each with its actual state; None for what has to be created.

    Attributes:
        order: The addresses of the desired resources, each after those that it refers to.

    Raises:
        DeclarationError: If jobs run each other in a cycle.
    """

    def __init__(self, state: Iterable[Actual], pairs: Iterable[tuple[Desired, Actual | None]]) -> None:
        self._ids: dict[tuple[str, str], list[str | Pending]] = {}
        self._known: set[tuple[str, str]] = set()
        declared = list(pairs)
        ours = {(actual.kind, actual.id) for _, actual in declared if actual is not None}
        for existing in state:
            self._known.add((existing.kind, existing.id))
            if (existing.kind, existing.id) not in ours:
                self._ids.setdefault((existing.kind, existing.name), []).append(existing.id)
        for each, actual in declared:
            identity = actual.id if actual is not None else Pending(each.kind, each.name)
            self._ids.setdefault((each.kind, each.name), []).append(identity)
        self.order = _order([each for each, _ in declared])

    def learn(self, desired: Desired, identity: str) -> None:
        """Remember the id of what was just created."""
        self._ids[desired.kind, desired.name] = [identity]

    def resolve(
        self, desired: Desired, replaced: Collection[tuple[str, str]] = ()
    ) -> tuple[dict[str, Json], list[str]]:
        """Return the body with ids for names, and the mistakes: names that are missing or ambiguous.

        Args:
            desired: The resource.
            replaced: Kinds and names of what the same apply replaces: their ids are pending.
        """
        mistakes: list[str] = []

        def change(path: str, field: str, value: Json) -> Json:
            kind = referred_kind(path, field, desired.kind)
            if kind is None or not isinstance(value, str):
                return value
            if (kind, value) in replaced:
                return Pending(kind, value)
            try:
                return _typed(field, self._lookup(kind, value))
            except LookupError as error:
                mistakes.append(f"{desired.places.get(path, desired.origin)}: {field}: {error}")
                return value

        return replace_values(desired.body, change), mistakes

    def _lookup(self, kind: str, name: str) -> str | Pending:
        ids = self._ids.get((kind, name), [])
        if len(ids) == 1:
            return ids[0]
        what = kind.replace("_", " ")
        if ids:
            shown = ", ".join(str(each) for each in ids)
            raise LookupError(f"{len(ids)} {what} are called {name!r} ({shown}); rename all but one, or write the id")
        if (kind, name) in self._known:
            return name  # it is already an id
        hint = suggestion(name, [each for of, each in self._ids if of == kind])
        raise LookupError(f"there is none of the {what} called {name!r}; {hint}")


def referred_kind(path: str, field: str, kind: str) -> str | None:
    """Return the kind whose name may stand in a field, or None."""
    if field == "job_id" and not path.endswith("run_job_task.job_id"):
        return None
    free_text = any(part in path for part in ("parameters.", "spark_conf.", "spark_env_vars.", "custom_tags.", "tags."))
    return None if free_text or kind == "permissions" else REFERENCES.get(field)


def replace_values(content: Json, change: Callable[[str, str, Json], Json], path: str = "") -> Json:
    """Return a body in which ``change(path, name, value)`` replaced the value of each field."""
    if isinstance(content, dict):
        changed = {}
        for name, value in content.items():
            here = f"{path}.{name}" if path else str(name)
            changed[name] = replace_values(change(here, str(name), value), change, here)
        return changed
    if isinstance(content, list):
        return [replace_values(value, change, f"{path}[{index}]") for index, value in enumerate(content)]
    return content


def _order(resources: list[Desired]) -> list[str]:
    """Return addresses by kind, and each job after those that it runs."""
    ordered = sorted(resources, key=lambda each: ORDER[each.kind])
    jobs = {each.name: each for each in ordered if each.kind == "jobs"}
    placed: dict[str, str] = {}

    def place(job: Desired, above: tuple[str, ...]) -> None:
        if job.name in above:
            cycle = " -> ".join([*above[above.index(job.name) :], job.name])
            raise DeclarationError([f"{job.origin}: jobs run each other in a cycle: {cycle}"])
        for name in _jobs_run_by(job):
            if name in jobs and name not in placed:
                place(jobs[name], (*above, job.name))
        placed.setdefault(job.name, job.address)

    for job in jobs.values():
        place(job, ())
    sorted_jobs = iter(placed.values())
    return [next(sorted_jobs) if each.kind == "jobs" else each.address for each in ordered]


def _jobs_run_by(job: Desired) -> list[str]:
    names: list[str] = []

    def note(path: str, field: str, value: Json) -> Json:
        if referred_kind(path, field, "jobs") == "jobs" and isinstance(value, str):
            names.append(value)
        return value

    replace_values(job.body, note)
    return names


def _typed(field: str, identity: str | Pending) -> Any:
    return int(identity) if field == "job_id" and isinstance(identity, str) and identity.isdigit() else identity
