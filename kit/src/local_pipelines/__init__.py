"""Declarative pipelines (Lakeflow, Delta Live Tables) on this machine: unmodified code, expectations and CDC included.

::

    from local_pipelines import run_update

    result = run_update("pipeline.py", spark, "data/pipelines/sample")
    assert result.state == "COMPLETED"
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_pipelines.errors import DefinitionError, PipelineError, Problem, UpdateRefusedError
    from local_pipelines.run import UpdateResult, run_update

__all__ = ["DefinitionError", "PipelineError", "Problem", "UpdateRefusedError", "UpdateResult", "run_update"]


def __getattr__(name: str) -> object:
    """Import the engine when it is asked for: `devkit` lists the verbs of this package where there is no Spark."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "run" if name in ("UpdateResult", "run_update") else "errors"
    return getattr(import_module(f"{__name__}.{module}"), name)
