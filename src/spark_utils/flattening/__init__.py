"""Flatten nested frames into top-level columns, by a plan that is data.

`flatten_plan` decides purely, from a schema; `flatten` applies the plan in one projection; `unflatten` undoes it.
"""

from spark_utils.flattening.applying import flatten, projections, unflatten
from spark_utils.flattening.plan import Explode, FlattenColumn, FlattenedStruct, FlattenPlan
from spark_utils.flattening.planner import flatten_plan
from spark_utils.flattening.policies import Policy, parse_policy
from spark_utils.names import format_path, parse_path

__all__ = [
    "Explode",
    "FlattenColumn",
    "FlattenPlan",
    "FlattenedStruct",
    "Policy",
    "flatten",
    "flatten_plan",
    "format_path",
    "parse_path",
    "parse_policy",
    "projections",
    "unflatten",
]
