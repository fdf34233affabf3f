"""How long a test waits: the bound of what hangs, never of what is slow, because a machine may be busy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 400.0  # seconds


def wait_for(found: Callable[[], T], told: Callable[[], object] = lambda: "it did not come") -> T:
    """Ask until the answer is true; fail with what is `told` when PATIENCE is over."""
    until = time.monotonic() + PATIENCE
    while not (answer := found()):
        assert time.monotonic() < until, told()
        time.sleep(0.02)
    return answer
