"""Apply a plan to a frame, and undo it: the only module of flattening that touches a frame."""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.sql import DataFrame

from spark_utils.errors import FlattenError
from spark_utils.flattening.plan import FlattenColumn, FlattenPlan
from spark_utils.names import Path, format_path, quote, string_literal
from spark_utils.schemas.ddl import type_to_ddl


def projections(plan: FlattenPlan) -> list[list[str]]:
    """Return the SQL expressions of each projection: one, and one more for each explode.

    Spark allows one generator in a projection, and an inner explode needs the outer one's element as a column.
    """
    last = len(plan.explodes)
    layers = []
    for level in range(last + 1):
        layer = []
        for each in plan.columns:
            if each.level == level:
                layer.append(f"{each.expression} AS {quote(each.name)}")
            elif each.level < level:
                layer.append(quote(each.name))
        if level < last:
            layer.append(plan.explodes[level].expression)
        layers.append(layer)
    return layers


def flatten(df: DataFrame, plan: FlattenPlan) -> DataFrame:
    """Return the flat frame of a plan, by one projection (and one more for each explode).

    Quoted SQL paths in one `selectExpr`: a `select` of as many `Column` objects takes several times as long, for
    each is made by several calls into the JVM.

    Args:
        df: A batch or streaming frame of the schema that the plan was made for. A column that the plan does not know is
            not in the result; one that the plan knows and the frame has not is Spark's error.
        plan: The plan; its `schema` is the result's.

    Returns:
        One row per row of `df`; where the plan explodes, one per element, and still one for no element.
    """
    for layer in projections(plan):
        df = df.selectExpr(*layer)
    return df


def unflatten(df: DataFrame, plan: FlattenPlan) -> DataFrame:
    """Return the nested frame that `flatten` made flat: ``unflatten(flatten(x)) == x``.

    That is exact for plans with ``presence=True``. Without the presence columns a nullable struct whose columns are all
    null comes back as null, since nothing tells it from a null struct. Nullability flags may be looser than before.

    Args:
        df: A flat frame, with the columns of the plan.
        plan: A plan of ``keep`` policies (dropped paths stay dropped).

    Raises:
        FlattenError: The plan turned values into JSON, picked elements, or exploded rows; none of that can be undone.
    """
    structs = {each.path for each in plan.structs} | {()}
    picked = [
        each.path
        for each in plan.columns
        if each.policy == "json" or not all(each.path[:length] in structs for length in range(len(each.path)))
    ]
    lost = [each.path for each in plan.explodes] + picked
    if lost:
        raise FlattenError(
            f"{', '.join(map(format_path, lost[:5]))} cannot be unflattened", remedy="Use the policy keep for them."
        )
    return df.selectExpr(*_Tree(plan).top_level())


class _Tree:
    """The columns and structs of a plan, each under its parent's path, in schema order."""

    def __init__(self, plan: FlattenPlan) -> None:
        self.plan = plan
        self.structs = {each.path: each for each in plan.structs}
        self.children: dict[Path, list[Path | FlattenColumn]] = {}
        seen: set[Path] = set()
        for column in plan.columns:
            if column.policy in ("presence", "frame"):
                continue
            self.children.setdefault(column.path[:-1], []).append(column)
            path = column.path[:-1]
            while path and path not in seen:
                seen.add(path)
                self.children.setdefault(path[:-1], []).append(path)
                path = path[:-1]

    def top_level(self) -> Iterator[str]:
        done = False
        if self.plan.column is None:
            for child in self.children.get((), []):
                name = child[-1] if isinstance(child, tuple) else child.path[-1]
                yield f"{self.value(child)} AS {quote(name)}"
            return
        for column in self.plan.columns:
            if column.policy == "frame":
                yield f"{self.value(column)} AS {quote(column.path[0])}"
            elif not done:
                done = True
                yield f"{self.value(())} AS {quote(self.plan.column)}"

    def value(self, node: Path | FlattenColumn) -> str:
        if isinstance(node, FlattenColumn):
            name = quote(node.name)
            return name if node.restore is None else f"CAST({name} AS {type_to_ddl(node.restore)})"
        fields = []
        for child in self.children[node]:
            name = child[-1] if isinstance(child, tuple) else child.path[-1]
            fields.append(f"{string_literal(name)}, {self.value(child)}")
        built = f"named_struct({', '.join(fields)})"
        struct = self.structs[node]
        if struct.presence:
            return f"CASE WHEN {quote(struct.presence)} THEN {built} END"
        if struct.nullable:
            return f"CASE WHEN {' OR '.join(f'{name} IS NOT NULL' for name in self.scalars(node))} THEN {built} END"
        return built

    def scalars(self, node: Path) -> Iterator[str]:
        for child in self.children[node]:
            if isinstance(child, FlattenColumn):
                yield quote(child.name)
            else:
                yield from self.scalars(child)
