"""Declarative pipelines (Lakeflow, Delta Live Tables) on this machine: unmodified code, expectations and CDC included.

::

    from local_pipelines import run_update

    result = run_update("pipeline.py", spark, "data/pipelines/sample")
    assert result.state == "COMPLETED"
"""

from local_pipelines.errors import DefinitionError, PipelineError, Problem, UpdateRefusedError
from local_pipelines.run import UpdateResult, run_update

__all__ = ["DefinitionError", "PipelineError", "Problem", "UpdateRefusedError", "UpdateResult", "run_update"]
