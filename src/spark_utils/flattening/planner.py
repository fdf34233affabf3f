"""From a schema to a `FlattenPlan`, purely: which path becomes which column, by which policy, under which name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    MapType,
    StringType,
    StructField,
    StructType,
    VariantType,
)

from spark_utils.configuration.settings import FlattenOptions, OnCollision
from spark_utils.errors import FlattenError
from spark_utils.flattening.naming import Draft, legal_type, name_columns
from spark_utils.flattening.plan import Explode, FlattenedStruct, FlattenPlan
from spark_utils.flattening.policies import Policy, parse_policy
from spark_utils.names import Path, fold, format_path, legal_name, parse_path, quote, string_literal, suggestion
from spark_utils.schemas.ddl import type_to_ddl

_KEEP, _FLATTEN = Policy("keep"), Policy("flatten")
_COMPLEX = (StructType, ArrayType, MapType)
_SHOWN = 5


def flatten_plan(  # noqa: PLR0913  # one keyword-only option per decision, each with a default
    schema: StructType,
    *,
    column: str | None = None,
    options: FlattenOptions | None = None,
    separator: str | None = None,
    arrays: str | None = None,
    maps: str | None = None,
    policies: Mapping[str, str | Policy] | None = None,
    rename: Mapping[str, str] | None = None,
    keep: Iterable[str] | None = None,
    max_depth: int | None = None,
    max_columns: int | None = None,
    on_collision: OnCollision | None = None,
    presence: bool | None = None,
) -> FlattenPlan:
    """Plan how nested fields become top-level columns, in schema order.

    A path names fields relative to `column` (or to the frame): ``device.location.lat``; a part with a dot or a backtick
    is quoted in backticks. Below an array or a map it goes on by what the policy makes of it: the fields of an exploded
    array's struct directly (``readings.value``), ``element`` for an exploded array of arrays or maps, ``key`` and
    ``value`` for an exploded map, the position for ``index`` (``readings.0.value``), the key for ``keys``.

    The column's name is the path's parts, made legal (`legal_name`) and joined by the separator.

    Args:
        schema: The schema of the *frame*, also when `column` names one struct of it.
        column: The struct column whose fields come to the top level; the frame's other columns stay as they are and
            keep their names, in the same name space. None flattens every column of the frame.
        options: All that follow, as a configuration has them (``config.flatten``); a keyword beside is stronger.
            Without either, the defaults of `FlattenOptions`.
        separator: Between the parts of a name.
        arrays: Policy of every array without one of its own: ``keep``, ``json``, ``drop``, ``explode``, ``index 0,1``.
        maps: Policy of every map without one of its own: ``keep``, ``json``, ``drop``, ``explode``, ``keys a,b``.
        policies: Path to policy; for structs also ``flatten`` (their default). Explodes may only be nested in one
            another, since two side by side would multiply rows.
        rename: Path to the exact name of its column; of a struct, to the prefix of its columns' names.
        keep: Paths that stay whole; short for the policy ``keep``.
        max_depth: The most parts a path may have.
        max_columns: The most columns the flat frame may have.
        on_collision: For two names that differ at most in case: ``error``, or ``number``: renamed columns and the
            frame's other columns keep their names, then the first in schema order does, and each further one gets the
            separator and the smallest number from 2 that no other column claims.
        presence: Also give each nullable struct a boolean column ``<struct>_present``, so that `unflatten` can tell a
            null struct from one whose fields are all null.

    Returns:
        The plan.

    Raises:
        FlattenError: Naming every path at fault: unknown, of a policy that does not fit its type, colliding, past a
            limit, exploded beside another.
    """
    options = (options or FlattenOptions()).with_given(
        separator=separator,
        arrays=arrays,
        maps=maps,
        rename=rename,
        keep=None if keep is None else tuple(keep),
        max_depth=max_depth,
        max_columns=max_columns,
        on_collision=on_collision,
        presence=presence,
    )
    by_path: Mapping[str, str | Policy] = options.policies if policies is None else policies
    chosen = {parse_path(path): parse_policy(policy, origin=path) for path, policy in by_path.items()}
    chosen |= dict.fromkeys((parse_path(path) for path in options.keep), _KEEP)
    planner = _Planner(
        separator=options.separator,
        arrays=parse_policy(options.arrays, origin="arrays"),
        maps=parse_policy(options.maps, origin="maps"),
        policies=chosen,
        rename={parse_path(path): name for path, name in options.rename.items()},
        max_depth=options.max_depth,
        max_columns=options.max_columns,
        presence=options.presence,
    )
    planner.plan_frame(schema, column)
    number = options.on_collision == "number"
    columns = name_columns(planner.drafts, options.separator, planner.problems, number=number)
    if planner.problems:
        raise _error(planner.problems)
    structs = tuple(
        replace(each, presence=columns[planner.flags[each.path]].name) if each.path in planner.flags else each
        for each in planner.structs
    )
    return FlattenPlan(tuple(columns), tuple(planner.explodes), structs, column)


@dataclass
class _Node:
    """A value met on the way: where it is, how it is read, what its column would be called."""

    path: Path
    name: str
    expression: str
    data_type: DataType
    nullable: bool
    level: int = 0
    own_nullable: bool = True
    fixed: bool = False


@dataclass
class _Planner:
    separator: str
    arrays: Policy
    maps: Policy
    policies: dict[Path, Policy]
    rename: dict[Path, str]
    max_depth: int | None
    max_columns: int | None
    presence: bool
    drafts: list[Draft] = field(default_factory=list)
    explodes: list[Explode] = field(default_factory=list)
    structs: list[FlattenedStruct] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    met: set[Path] = field(default_factory=set)
    flags: dict[Path, int] = field(default_factory=dict)  # struct to the place of its presence column
    column: str | None = None

    def plan_frame(self, schema: StructType, column: str | None) -> None:
        self.column = column
        self._check_options()
        self._check_siblings((), schema)
        if column is not None and column not in schema.names:
            hint = suggestion(column, schema.names)
            remedy = f"It has {', '.join(schema.names[:_SHOWN])}."
            raise FlattenError(f"the frame has no column {column!r}{hint}", remedy=remedy)
        for each in schema.fields:
            quoted = quote(each.name)
            if column is None:
                node = _Node((each.name,), legal_name(each.name), quoted, each.dataType, each.nullable)
                self._walk(replace(node, own_nullable=each.nullable))
            elif each.name == column:
                if not isinstance(each.dataType, StructType):
                    raise FlattenError(
                        f"the column {column!r} is {each.dataType.simpleString()}", remedy="Name a column of structs."
                    )
                node = _Node((), "", quoted, each.dataType, each.nullable, own_nullable=each.nullable)
                self._walk(node)
            else:
                self._add_frame_column(each, quoted)
        self._check_unmet()
        if not self.drafts and not self.problems:
            self.problems.append("no column is left")

    def _walk(self, root: _Node) -> None:
        """Visit depth first, in schema order; a stack, since a schema may be deeper than Python's recursion."""
        stack = [root]
        while stack:
            children = self._visit(stack.pop())
            children.reverse()
            stack.extend(children)

    def _visit(self, node: _Node) -> list[_Node]:
        path = node.path
        if self.max_depth is not None and len(path) > self.max_depth:
            self.problems.append(f"{format_path(path)} is deeper than max_depth={self.max_depth}")
            return []
        if path in self.rename:
            node.name, node.fixed = self.rename[path], True
        self.met.add(path)
        policy = self.policies.get(path) or self._default(node.data_type)
        if not policy.fits(node.data_type):
            self._misfit(path, policy, node.data_type)
            return []
        match policy.kind:
            case "keep":
                self._keep(node)
            case "json":
                node.nullable = True  # as Spark declares every to_json
                self._add(node, "json", StringType(), f"to_json({node.expression}, map('ignoreNullFields', 'false'))")
            case "flatten":
                return self._take_apart(node)
            case "explode":
                return self._explode(node)
            case "index" | "keys":
                return self._pick(node, policy)
        return []

    def _default(self, data_type: DataType) -> Policy:
        if isinstance(data_type, StructType):
            return _FLATTEN if data_type.fields else _KEEP
        if isinstance(data_type, ArrayType):
            return self.arrays
        return self.maps if isinstance(data_type, MapType) else _KEEP

    def _keep(self, node: _Node) -> None:
        if not isinstance(node.data_type, _COMPLEX):
            self._add(node, "keep", node.data_type, node.expression)
            return
        legal = legal_type(node.data_type, self.separator)
        if legal is node.data_type:
            self._add(node, "keep", legal, node.expression)
        else:
            cast = f"CAST({node.expression} AS {type_to_ddl(legal)})"
            self._add(node, "keep", legal, cast, restore=node.data_type)

    def _add(
        self, node: _Node, policy: str, data_type: DataType, expression: str, restore: DataType | None = None
    ) -> None:
        if self.max_columns is not None and len(self.drafts) >= self.max_columns:
            raise FlattenError(
                f"{format_path(node.path)} would be column {len(self.drafts) + 1}, over max_columns={self.max_columns}",
                remedy="Raise the limit, or keep or drop a struct above it by a policy.",
            )
        self.drafts.append(
            Draft(node.path, node.name, data_type, node.nullable, policy, expression, node.level, restore, node.fixed)
        )

    def _add_frame_column(self, each: StructField, quoted: str) -> None:
        node = _Node((each.name,), legal_name(each.name), quoted, each.dataType, each.nullable, fixed=True)
        self._keep(node)
        self.drafts[-1].policy = "frame"

    def _take_apart(self, node: _Node) -> list[_Node]:
        struct = node.data_type
        assert isinstance(struct, StructType)  # noqa: S101  # `fits` has said so; this tells the type checker
        self._check_siblings(node.path, struct)
        if self.presence and node.own_nullable:
            self.flags[node.path] = len(self.drafts)
            whose = node if node.path else replace(node, name=legal_name(self.column or ""))
            flag = replace(node, name=self._child_name(whose, "present"), nullable=False, fixed=False)
            self._add(flag, "presence", BooleanType(), f"({node.expression} IS NOT NULL)")
        self.structs.append(FlattenedStruct(node.path, node.own_nullable))
        prefix = f"{node.name}{self.separator}" if node.name else ""
        path, expression, nullable, level = node.path, node.expression, node.nullable, node.level
        return [
            _Node(
                (*path, each.name),
                prefix + legal_name(each.name),
                f"{expression}.{quote(each.name)}",
                each.dataType,
                nullable or each.nullable,
                level,
                each.nullable,
            )
            for each in struct.fields
        ]

    def _explode(self, node: _Node) -> list[_Node]:
        if len(self.explodes) > node.level:
            other = format_path(self.explodes[node.level].path)
            self.problems.append(
                f"{format_path(node.path)} and {other} would be exploded side by side, which multiplies rows"
            )
            return []
        level = node.level + 1
        # A space is in no legal name, so that these cannot meet a column of the flat frame.
        names = (f"element {level}",) if isinstance(node.data_type, ArrayType) else (f"key {level}", f"value {level}")
        aliases = ", ".join(map(quote, names))
        generator = f"explode_outer({node.expression}) AS {aliases if len(names) == 1 else f'({aliases})'}"
        self.explodes.append(Explode(node.path, generator, names))
        if isinstance(node.data_type, MapType):
            return [
                self._child(node, part, quote(alias), data_type, level)
                for part, alias, data_type in zip(
                    ("key", "value"), names, (node.data_type.keyType, node.data_type.valueType), strict=True
                )
            ]
        assert isinstance(node.data_type, ArrayType)  # noqa: S101  # `fits` has said so; this tells the type checker
        element = node.data_type.elementType
        if isinstance(element, ArrayType | MapType):
            return [self._child(node, "element", quote(names[0]), element, level)]
        node = replace(
            node, expression=quote(names[0]), data_type=element, nullable=True, own_nullable=True, level=level
        )
        if isinstance(element, StructType) and element.fields:
            return self._take_apart(node)
        self._keep(node)
        return []

    def _pick(self, node: _Node, policy: Policy) -> list[_Node]:
        data_type = node.data_type
        if isinstance(data_type, ArrayType):
            return [
                self._child(node, item, f"get({node.expression}, {item})", data_type.elementType, node.level)
                for item in policy.items
            ]
        assert isinstance(data_type, MapType)  # noqa: S101  # `fits` has said so; this tells the type checker
        key_type = data_type.keyType
        if isinstance(key_type, (*_COMPLEX, VariantType)):
            self._misfit(node.path, policy, data_type)
            return []
        return [
            self._child(
                node,
                item,
                f"try_element_at({node.expression}, CAST({string_literal(item)} AS {type_to_ddl(key_type)}))",
                data_type.valueType,
                node.level,
            )
            for item in policy.items
        ]

    def _child(self, node: _Node, part: str, expression: str, data_type: DataType, level: int) -> _Node:
        return _Node((*node.path, part), self._child_name(node, part), expression, data_type, True, level)

    def _child_name(self, node: _Node, part: str) -> str:
        return f"{node.name}{self.separator}{legal_name(part)}" if node.name else legal_name(part)

    def _misfit(self, path: Path, policy: Policy, data_type: DataType) -> None:
        self.problems.append(f"{format_path(path)} is {data_type.simpleString()}, which cannot be `{policy}`")

    def _check_options(self) -> None:
        for option, policy, example in (
            ("arrays", self.arrays, ArrayType(StringType())),
            ("maps", self.maps, MapType(StringType(), StringType())),
        ):
            if not policy.fits(example):
                self.problems.append(f"{option} cannot be `{policy}`")
        for what, name in (("separator", self.separator), *(("rename", name) for name in self.rename.values())):
            if name and legal_name(name) != name:
                self.problems.append(f"the {what} {name!r} holds a character that Delta refuses or that must be quoted")
        self.problems.extend(f"{format_path(path)} is renamed to nothing" for path, to in self.rename.items() if not to)

    def _check_siblings(self, path: Path, struct: StructType) -> None:
        first: dict[str, str] = {}
        for name in struct.names:
            other = first.setdefault(fold(name), name)
            if other is not name:
                self.problems.append(
                    f"{format_path((*path, other))} and {format_path((*path, name))} differ at most in case, "
                    "so that Spark cannot tell them apart"
                )

    def _check_unmet(self) -> None:
        known = [format_path(path) for path in self.met]
        for path in [*self.policies, *self.rename]:
            if path in self.met:
                continue
            self.problems.append(f"unknown path {format_path(path)}{suggestion(format_path(path), known)}")


def _error(problems: list[str]) -> FlattenError:
    problems = list(dict.fromkeys(problems))
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return FlattenError(
        "; ".join(problems[:_SHOWN]) + more,
        remedy="Rename, keep or drop a path by an option of flatten_plan, or correct the schema.",
    )
