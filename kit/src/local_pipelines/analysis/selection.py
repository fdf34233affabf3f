"""Which datasets an update runs, which of them it clears first, and what it runs otherwise than declared, this once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from local_pipelines.analysis.analyse import Analysis
from local_pipelines.declaring.model import Definitions, Kind, ReplaceSpec, TableName
from local_pipelines.errors import DefinitionError, Problem
from local_pipelines.storage import Storage
from spark_utils.names import suggestion

SHOWN = 5  # files that are gone
OVERRIDES = "replace_where_overrides"


def override_conditions(definitions: Definitions, conditions: Mapping[str, str]) -> None:
    """Let flows with `replace_where` replace, in this update, the rows of other conditions: how history is filled in.

    A flow that is not in the code, or has no condition, is a mistake; the analysis judges a condition as if declared.
    Source: https://docs.databricks.com/ldp/flows-replace-where
    """
    by_condition = [flow for flow in definitions.flows.values() if flow.replace and flow.replace.where is not None]
    for name, condition in conditions.items():
        dataset = definitions.find(name)
        flow = definitions.flows.get(name) or (dataset and definitions.flows.get(dataset.said))
        if flow in by_condition:
            flow.replace = ReplaceSpec(where=condition)
        elif flow is not None:
            problem = f"{OVERRIDES}: flow '{name}' replaces no rows by a condition: it has no replace_where"
            definitions.problems.append(Problem(problem, flow.place))
        elif not definitions.incomplete:
            near = suggestion(name, [each.name for each in by_condition])
            definitions.problems.append(Problem(f"{OVERRIDES}: there is no flow '{name}'{near}"))


@dataclass(frozen=True)
class Selection:
    """What an update runs.

    Attributes:
        chosen: The datasets it updates; all when it is none.
        reset: Those that it clears first.
        kept: What a full refresh of everything leaves as it is (`pipelines.reset.allowed`), as sentences.
    """

    chosen: frozenset[TableName] | None
    reset: frozenset[TableName]
    kept: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, definitions: Definitions, full_refresh: bool | Sequence[str], refresh: Sequence[str]) -> Selection:
        """Return what names mean; one that is not in the code, or whose full refresh is forbidden, is a mistake."""
        problems: list[Problem] = []

        def named(names: Sequence[str]) -> set[TableName]:
            found = set()
            for name in names:
                dataset = definitions.find(name)
                if dataset is None and definitions.incomplete:
                    continue  # it may be what a mistake kept from being declared
                if dataset is None or dataset.kind is Kind.VIEW:
                    known = [each.said for each in definitions.datasets.values() if each.kind is not Kind.VIEW]
                    problems.append(Problem(f"'{name}' is not a table of this pipeline{suggestion(name, known)}"))
                else:
                    found.add(dataset.name)
            return found

        tables = {name: each for name, each in definitions.datasets.items() if each.kind is not Kind.VIEW}
        if isinstance(full_refresh, bool):
            kept = [each.said for each in tables.values() if full_refresh and not each.reset_allowed]
            reset = {name for name, each in tables.items() if full_refresh and each.reset_allowed}
            chosen = named(refresh)
        else:
            kept, reset = [], named(full_refresh)
            chosen = reset | named(refresh)
            for name in sorted(reset):
                if not tables[name].reset_allowed:
                    message = f"'{tables[name].said}' forbids a full refresh (pipelines.reset.allowed=false)"
                    problems.append(Problem(message, tables[name].place))
        definitions.problems += problems
        said = [f"'{name}' is not cleared: pipelines.reset.allowed=false" for name in kept]
        return cls(frozenset(chosen) or None, frozenset(reset), said)

    def includes(self, target: TableName | str) -> bool:
        """Whether flows into a target run."""
        return self.chosen is None or target in self.chosen

    def check(self, analysis: Analysis, storage: Storage) -> None:
        """Refuse to clear a table that cannot be refilled, or that another one, not cleared, reads as a stream.

        Raises:
            DefinitionError: With every such table.
        """
        problems = []
        for plan in analysis.writing():
            target = plan.flow.target
            if plan.flow.once and target in self.reset and storage.has_flow(plan.flow):
                for file in storage.flow(plan.flow).files_gone()[:SHOWN]:
                    message = (
                        f"flow '{plan.flow.name}' runs once, and {file}, which it read, is gone: its rows would be"
                    )
                    remedy = "lost by a full refresh; bring the file back, or set pipelines.reset.allowed=false"
                    problems.append(Problem(f"{message} {remedy}", plan.flow.place))
            if isinstance(target, str) or target in self.reset or not analysis.is_stream(plan.flow.name):
                continue
            said = analysis.datasets[target].dataset.said
            for dataset, stream in analysis.tables_read(plan.flow.name):
                if stream and dataset.name in self.reset:
                    problems.append(
                        Problem(
                            f"'{said}' reads '{dataset.said}' as a stream, so it must be fully refreshed with it: "
                            f"--full-refresh {dataset.said},{said}",
                            plan.flow.place,
                        )
                    )
        if problems:
            raise DefinitionError(problems)
