"""The graph of a pipeline, for the terminal and as a page: names, kinds, rows, expectations, state."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local_pipelines.run import UpdateResult

SIGNS = {"COMPLETED": "✔", "FAILED": "✘", "SKIPPED": "↷", "EXCLUDED": "·", "STOPPED": "■"}
WORST = ("FAILED", "STOPPED", "SKIPPED", "RUNNING", "STARTING", "QUEUED", "COMPLETED", "EXCLUDED")  # of several flows


@dataclass
class Node:
    """A dataset or sink in the graph.

    Attributes:
        name: As the user wrote it.
        kind: Such as ``streaming table``.
        inputs: Names of what it reads.
        state: Of its flows in the last update.
        rows: Written by the last update.
        rules: Passed and failed rows by expectation.
        level: How many steps it stands behind its first source.
    """

    name: str
    kind: str
    inputs: list[str] = field(default_factory=list)
    state: str = ""
    rows: int | None = None
    rules: dict[str, tuple[int, int]] = field(default_factory=dict)
    level: int = 0


def graph_of(result: UpdateResult, events: Iterable[Mapping[str, Any]] = ()) -> list[Node]:
    """Return the nodes of an analysed pipeline in order, with what the last update in the log did."""
    analysis, definitions = result.analysis, result.definitions
    if analysis is None or definitions is None:
        return []
    nodes = {plan.dataset.said: Node(plan.dataset.said, str(plan.dataset.kind)) for plan in analysis.datasets.values()}
    nodes |= {sink.name: Node(sink.name, "sink") for sink in definitions.sinks.values()}
    for plan in analysis.flows.values():
        target = plan.flow.target
        node = nodes[target if isinstance(target, str) else definitions.datasets[target].said]
        node.inputs += [dataset.said for dataset, _ in plan.inputs if dataset.said not in node.inputs]
    for _ in nodes:
        for node in nodes.values():
            node.level = max([nodes[name].level + 1 for name in node.inputs], default=0)
    add_last_update(nodes, list(events))
    return sorted(nodes.values(), key=lambda node: (node.level, node.name))


def add_last_update(nodes: Mapping[str, Node], events: Sequence[Mapping[str, Any]]) -> None:
    """Note in the nodes what the last update of the log did; of several flows, the worst."""
    last = events[-1]["origin"]["update_id"] if events else None
    states: dict[str, dict[str, str]] = {}
    for event in events:
        if event["event_type"] != "flow_progress" or event["origin"]["update_id"] != last:
            continue
        details = event["details"]["flow_progress"]
        node = nodes.get(event["origin"].get("dataset_name", ""))
        if node is None:
            continue
        of_flows = states.setdefault(node.name, {})
        of_flows[event["origin"].get("flow_name", "")] = details["status"]
        node.state = min(of_flows.values(), key=WORST.index)
        metrics = details.get("metrics", {})
        if metrics:
            node.rows = (node.rows or 0) + metrics.get("num_output_rows", metrics.get("num_upserted_rows", 0))
        for rule in details.get("data_quality", {}).get("expectations", []):
            owner = nodes.get(rule["dataset"], node)
            passed, failed = owner.rules.get(rule["name"], (0, 0))
            owner.rules[rule["name"]] = (passed + rule["passed_records"], failed + rule["failed_records"])


def as_text(nodes: list[Node]) -> str:
    """Return the graph for a terminal."""
    width = max((len(node.name) for node in nodes), default=0)
    lines = []
    for node in nodes:
        rows = "" if node.rows is None else f"  {node.rows} rows"
        reads = f"  ← {', '.join(node.inputs)}" if node.inputs else ""
        sign = SIGNS.get(node.state, "○")
        lines.append(f"{'  ' * node.level}{sign} {node.name:{width}}  {node.kind}{rows}{reads}")
        for rule, (passed, failed) in node.rules.items():
            lines.append(f"{'  ' * node.level}    {bar(passed, failed)} {rule}: {passed} passed, {failed} failed")
    return "\n".join(lines)


def bar(passed: int, failed: int, width: int = 10) -> str:
    """Return a bar of passed against failed rows; a single failed row shows."""
    total = passed + failed
    full = width if not failed else min(width - 1, passed * width // total)
    return "█" * full + "░" * (width - full)


def summary(result: UpdateResult, *, validate_only: bool) -> str:
    """Return what an update did, for the terminal."""
    if validate_only:
        return f"{as_text(graph_of(result))}\nThe pipeline is valid; nothing was written."
    lines = [f"Update {result.update_id} is {result.state}"]
    report = result.report()
    for name, status in result.flows.items():
        reason = f": {result.errors[name]}" if name in result.errors else ""
        lines.append(f"  {SIGNS.get(status, ' ')} flow {name}: {status}{reason}")
    for name, counts in report["datasets"].items():
        dropped = f", {counts['dropped_records']} dropped" if counts["dropped_records"] else ""
        lines.append(f"  {name}: {counts['rows_written']} rows{dropped}")
        for rule, found in counts["expectations"].items():
            shown = bar(found["passed"], found["failed"])
            lines.append(f"      {shown} {rule}: {found['passed']} passed, {found['failed']} failed")
    return "\n".join(lines)


STYLE = """
:root { color-scheme: light dark; --edge: #8a94a6; --card: #fff; --ink: #1b2430; --soft: #5b6675; --paper: #f4f6f9; }
@media (prefers-color-scheme: dark) {
  :root { --card: #1d2530; --ink: #e7ecf3; --soft: #9aa6b6; --paper: #12171e; } }
body { margin: 2rem; font: 15px/1.4 system-ui, sans-serif; background: var(--paper); color: var(--ink); }
svg text { fill: var(--ink); font: 14px system-ui, sans-serif; } svg .soft { fill: var(--soft); font-size: 12px; }
svg .card { fill: var(--card); stroke: var(--edge); } svg .edge { fill: none; stroke: var(--edge); stroke-width: 1.5; }
svg .FAILED { stroke: #c62828; stroke-width: 2.5; } svg .COMPLETED { stroke: #2e7d32; stroke-width: 2; }
svg .SKIPPED { stroke: #e08a00; stroke-dasharray: 5 3; }
svg .passed { fill: #2e7d32; } svg .failed { fill: #c62828; }
"""
CARD_WIDTH, ROW_HEIGHT, GAP_X, GAP_Y, LANE = 320, 20, 90, 26, 14
NAME_LETTERS, RULE_LETTERS = 38, 34  # that a card has room for


def as_page(nodes: list[Node], name: str = "Pipeline") -> str:
    """Return the graph as a page that needs nothing else: cards by level, edges, rows, bars of expectations."""
    places: dict[str, tuple[int, int, int]] = {}
    bottoms: dict[int, int] = {}
    for node in nodes:
        top = bottoms.get(node.level, 20)
        height = 56 + ROW_HEIGHT * len(node.rules)
        places[node.name] = (_left(node.level), top, height)
        bottoms[node.level] = top + height + GAP_Y
    levels = {node.name: node.level for node in nodes}
    edges = "".join(
        _edge(places[source], places[node.name], _lanes(range(levels[source] + 1, node.level), bottoms))
        for node in nodes
        for source in node.inputs
    )
    width = _left(max(levels.values(), default=0) + 1) + 20
    height = max(bottoms.values(), default=100) + 20
    cards = "".join(_card(node, places[node.name]) for node in nodes)
    title = html.escape(name)
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{title}</title><style>{STYLE}</style>"
        f"<h1>{title}</h1><svg width='{width}' height='{height}' role='img' aria-label='Graph of the pipeline'>"
        f"{edges}{cards}</svg></html>\n"
    )


def _left(level: int) -> int:
    return 20 + level * (CARD_WIDTH + GAP_X)


def _lanes(levels: range, bottoms: dict[int, int]) -> list[tuple[int, int]]:
    """Return where an edge passes below the cards of the levels between its ends, each edge in a lane of its own."""
    lanes = []
    for level in levels:
        lanes.append((_left(level), bottoms.get(level, 20)))
        bottoms[level] = bottoms.get(level, 20) + LANE
    return lanes


def _edge(source: tuple[int, int, int], target: tuple[int, int, int], lanes: list[tuple[int, int]]) -> str:
    x, y = source[0] + CARD_WIDTH, source[1] + 28
    path = f"M{x},{y}"
    for left, top in [*lanes, (target[0], target[1] + 28)]:
        middle = (x + left) // 2
        path += f" C{middle},{y} {middle},{top} {left},{top}"
        x, y = left, top
        if (left, top) in lanes:
            x += CARD_WIDTH
            path += f" H{x}"
    return f"<path class='edge' d='{path}'/>"


def _card(node: Node, place: tuple[int, int, int]) -> str:
    x, y, height = place
    rows = "" if node.rows is None else f" · {node.rows:,} rows"
    state = html.escape(node.state)
    kind = f"{html.escape(node.kind)}{rows}{state and f' · {state.lower()}'}"
    parts = [
        f"<rect class='card {state}' x='{x}' y='{y}' width='{CARD_WIDTH}' height='{height}' rx='8'/>",
        f"<text x='{x + 12}' y='{y + 24}'>{_shortened(node.name, NAME_LETTERS)}</text>",
        f"<text class='soft' x='{x + 12}' y='{y + 43}'>{kind}</text>",
    ]
    for number, (rule, (passed, failed)) in enumerate(node.rules.items()):
        top = y + 52 + number * ROW_HEIGHT
        said = _shortened(f"{rule}: {failed} failed", RULE_LETTERS)
        good = 80 * passed // max(passed + failed, 1)
        parts.append(
            f"<rect class='failed' x='{x + 12}' y='{top}' width='80' height='10' rx='2'/>"
            f"<rect class='passed' x='{x + 12}' y='{top}' width='{good}' height='10' rx='2'/>"
            f"<text class='soft' x='{x + 100}' y='{top + 9}'>{said}</text>"
        )
    return "".join(parts)


def _shortened(text: str, letters: int) -> str:
    """Return text that fits into a card, its middle left out; the whole of it shows under the pointer."""
    if len(text) <= letters:
        return html.escape(text)
    short = f"{text[: letters // 2 - 1]}…{text[-letters // 2 :]}"
    return f"{html.escape(short)}<title>{html.escape(text)}</title>"
