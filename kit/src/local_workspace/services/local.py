"""What only this server has: faults and counts for tests, tables and streams for the page."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from local_workspace.errors import invalid
from local_workspace.server.faults import SETTINGS
from local_workspace.server.routing import Request, route
from local_workspace.server.state import Service

ONLY_HERE: Final = "only here"
BATCHES: Final = 20
PLACES: Final = ("dbfs", "volumes", "files", "warehouse", "runs")


class Local(Service):
    """Keeps nothing: faults and counts belong to the server, tables and checkpoints lie on the disk."""

    name = "local"

    @route("POST", "/local/faults", differs=ONLY_HERE)
    def add_fault(self, request: Request) -> object:
        """Arm a fault: ``kind`` and the settings of `local_workspace.faults.Fault`; it strikes every workspace."""
        settings = {name: value for name, value in request.json.items() if name != "kind"}
        unknown = next((name for name in settings if name not in SETTINGS), None)
        if unknown is not None:
            raise invalid(f"Unknown setting {unknown!r} of a fault; the settings are {', '.join(SETTINGS)}")
        fault = self.state.faults.add(request.required("kind"), **settings)
        return {name: value for name, value in asdict(fault).items() if not name.startswith("_")}

    @route("DELETE", "/local/faults", differs=ONLY_HERE)
    def clear_faults(self, _request: Request) -> object:
        """Disarm all faults and return how many calls they struck."""
        self.state.faults.clear()
        return {"struck": self.state.faults.struck}

    @route("GET", "/local/calls", differs=ONLY_HERE)
    def calls(self, _request: Request) -> object:
        """Return how often each route was called since the server started."""
        return {"calls": dict(sorted(self.state.calls.items()))}

    @route("GET", "/local/tables", differs=ONLY_HERE)
    def tables_found(self, _request: Request) -> object:
        """Return the Delta tables of all catalogs, with their version and the time of the last commit."""
        warehouse = self.state.path("warehouse")
        found = warehouse.glob("*/*/*/_delta_log")
        return {"tables": sorted((_table(log, warehouse) for log in found), key=lambda table: str(table["name"]))}

    @route("GET", "/local/streams", differs=ONLY_HERE, locked=False)
    def streams(self, _request: Request) -> object:
        """Return the streaming queries whose checkpoints lie in the workspace, with their latest micro-batches."""
        walks = (os.walk(self.state.path(place)) for place in PLACES)  # os.walk tolerates folders that vanish meanwhile
        folders = (Path(folder) for walk in walks for folder, names, _ in walk if "commits" in names)
        found = {folder.resolve() for folder in folders if _is_checkpoint(folder)}
        return {"streams": [self._stream(checkpoint) for checkpoint in sorted(found)]}

    def _stream(self, checkpoint: Path) -> dict[str, Any]:
        _, _, names = next(os.walk(checkpoint / "commits"), ("", [], []))
        numbers = sorted(int(name) for name in names if name.isdecimal())
        batches = [_batch(checkpoint, number) for number in reversed(numbers[-BATCHES:])]
        name = checkpoint.relative_to(self.state.folder.resolve()).as_posix()
        return {"checkpoint": name, "batches": [batch for batch in batches if batch]}


def _is_checkpoint(folder: Path) -> bool:
    return (folder / "offsets").is_dir() and (folder / "metadata").is_file()


def _batch(checkpoint: Path, number: int) -> dict[str, Any] | None:
    """Return a micro-batch: when it was planned and committed, and the offsets of its sources after it."""
    try:
        planned, *offsets = _lines(checkpoint / "offsets" / str(number))[1:]
        committed = int((checkpoint / "commits" / str(number)).stat().st_mtime * 1000)
    except (OSError, ValueError):  # Spark clears old ones away while we look
        return None
    begun = json.loads(planned).get("batchTimestampMs")
    return {"batch_id": number, "planned_at": begun, "committed_at": committed, "offsets": offsets}


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


def _table(log: Path, warehouse: Path) -> dict[str, Any]:
    commits = [each for each in log.glob("*.json") if each.stem.isdigit()]
    return {
        "name": ".".join(log.parent.relative_to(warehouse).parts),
        "version": max((int(each.stem) for each in commits), default=None),
        "modified_at": int(max((each.stat().st_mtime for each in commits), default=0) * 1000),
    }
