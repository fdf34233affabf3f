"""Faults on request: an error, a dropped connection, a delay or a stale read, before or after the effect."""

from __future__ import annotations

import fnmatch
import math
import threading
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from local_workspace.errors import invalid

Kind = Literal["status", "drop", "delay", "stale"]
When = Literal["before", "after"]
LONGEST_SECONDS: Final = 3600.0
SETTINGS: Final = {"method": str, "path": str, "when": str, "status": int, "seconds": float, "skip": int, "times": int}


@dataclass
class Fault:
    """What goes wrong with calls that match.

    Attributes:
        kind: ``status`` answers with an error, ``drop`` closes the connection without an answer, ``delay`` waits,
            ``stale`` lets a read see the state before the last write.
        method: The HTTP method, ``*`` for any.
        path: The path, with ``*`` as in file names: ``/api/*/jobs/run-now``.
        when: Whether the call has had its effect by then; a stale read has none.
        status: The HTTP status of kind ``status``; its error code follows from it.
        seconds: The wait of kind ``delay``.
        skip: How many matching calls pass first.
        times: How many calls it strikes; 0 for all.
    """

    kind: Kind
    method: str = "*"
    path: str = "*"
    when: When = "before"
    status: int = 503
    seconds: float = 0.1
    skip: int = 0
    times: int = 1
    _seen: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        """Refuse what no fault can be.

        Raises:
            ApiError: 400 for an unknown kind, moment or status, a wrong type, or a number out of its range.
        """
        for name, kind in SETTINGS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (kind, int) if kind is float else kind):
                raise invalid(f"A fault's {name} must be of type {kind.__name__}, not {value!r}")
        if not (math.isfinite(self.seconds) and 0 <= self.seconds <= LONGEST_SECONDS):
            raise invalid(f"A fault's seconds are from 0 to {LONGEST_SECONDS:g}, not {self.seconds}")
        if self.skip < 0 or self.times < 0:
            raise invalid(f"A fault's skip and times must not be negative: {self.skip}, {self.times}")
        if self.status not in ERROR_CODES:
            raise invalid(f"A fault's status is one of {', '.join(map(str, ERROR_CODES))}, not {self.status}")
        if self.kind not in get_args(Kind) or self.when not in get_args(When):
            raise invalid(f"A fault is one of {get_args(Kind)}, {get_args(When)}; not {self.kind!r}, {self.when!r}")

    def strikes(self, method: str, path: str) -> bool:
        """Return whether it strikes this call, and count the call."""
        if not (fnmatch.fnmatch(method, self.method) and fnmatch.fnmatch(path, self.path)):
            return False
        self._seen += 1
        return self._seen > self.skip and (self.times == 0 or self._seen <= self.skip + self.times)


ERROR_CODES = {
    400: "INVALID_PARAMETER_VALUE",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    409: "RESOURCE_CONFLICT",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    501: "NOT_IMPLEMENTED",
    502: "BAD_GATEWAY",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Faults:
    """The faults that are armed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[Fault] = []
        self.struck = 0

    def add(self, kind: Kind, **settings: Any) -> Fault:
        """Arm a fault; `settings` are the attributes of `Fault`.

        Raises:
            ApiError: 400 when there is no such setting.
        """
        try:
            fault = Fault(kind, **settings)
        except TypeError as error:
            raise invalid(f"Invalid setting of a fault: {error}") from None
        with self._lock:
            self._armed.append(fault)
        return fault

    def clear(self) -> None:
        """Disarm all."""
        with self._lock:
            self._armed.clear()

    def of(self, method: str, path: str) -> list[Fault]:
        """Return the faults that strike this call."""
        with self._lock:
            struck = [fault for fault in self._armed if fault.strikes(method, path)]
            self.struck += len(struck)
        return struck

    @property
    def stale_reads(self) -> bool:
        """Whether any fault wants to know the state before the last write."""
        return any(fault.kind == "stale" for fault in self._armed)
