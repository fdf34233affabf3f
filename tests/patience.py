"""How long a test waits: the bound of what hangs, never of what is slow, because a machine may be busy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 400.0  # seconds


def wait_for(ask: Callable[[], T], wanted: Callable[[T], object] = bool) -> T:
    """Ask until the answer is as wanted, and return it; fail with the last answer when PATIENCE is over."""
    begun = time.monotonic()
    while not wanted(answer := ask()):
        waited = time.monotonic() - begun
        assert waited < PATIENCE, answer
        time.sleep(min(0.02 + waited / 20, 0.25))  # asking takes the processor from what is waited for
    return answer
