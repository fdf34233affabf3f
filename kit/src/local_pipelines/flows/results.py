"""What one run of a flow did, and a whole update."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local_pipelines.flows.expectations import Counts

if TYPE_CHECKING:
    from local_pipelines.analysis.analyse import Analysis
    from local_pipelines.declaring.model import Definitions

MARK = "local_pipelines"  # begins the user metadata of every commit of ours


@dataclass
class Result:
    """What one run of a flow, or one micro-batch of it, did.

    Attributes:
        counts: By dataset: the target and the views that were read.
        upserted: Rows that an AUTO CDC flow inserted or updated; none for other flows.
        deleted: Rows that an AUTO CDC flow deleted.
    """

    counts: dict[str, Counts] = field(default_factory=dict)
    upserted: int | None = None
    deleted: int | None = None


@dataclass
class UpdateResult:
    """What an update did.

    Attributes:
        update_id: Its identifier, which the log's events carry.
        state: ``COMPLETED``, ``FAILED`` or ``CANCELED``.
        error: Why it failed.
        flows: Status by name: COMPLETED, FAILED, SKIPPED, EXCLUDED, STOPPED.
        errors: Reason by name of a failed flow.
        counts: Rows by dataset.
        upserted: Rows inserted or updated by AUTO CDC, by dataset.
        deleted: Rows deleted by AUTO CDC, by dataset.
        analysis: What the pipeline would do, where it could be analysed.
        definitions: What was declared.
    """

    update_id: str
    state: str = "COMPLETED"
    error: str | None = None
    flows: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    counts: dict[str, Counts] = field(default_factory=dict)
    upserted: dict[str, int] = field(default_factory=dict)
    deleted: dict[str, int] = field(default_factory=dict)
    analysis: Analysis | None = None
    definitions: Definitions | None = None

    def report(self) -> dict[str, Any]:
        """Return it as ``--report`` writes it."""
        datasets: dict[str, dict[str, Any]] = {}
        for name, counts in self.counts.items():
            rules = {rule: {"passed": n, "failed": counts.total - n} for rule, n in counts.passed.items()}
            datasets[name] = {
                "rows_written": self.upserted.get(name, counts.written),
                "dropped_records": counts.dropped,
                "expectations": rules,
            }
            if name in self.upserted:
                datasets[name] |= {"upserted": self.upserted[name], "deleted": self.deleted[name]}
        return {
            "update_id": self.update_id,
            "state": self.state,
            "error": self.error,
            "flows": self.flows,
            "errors": self.errors,
            "datasets": datasets,
        }
