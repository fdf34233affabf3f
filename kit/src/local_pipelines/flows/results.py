"""What one run of a flow did."""

from __future__ import annotations

from dataclasses import dataclass, field

from local_pipelines.flows.expectations import Counts

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
