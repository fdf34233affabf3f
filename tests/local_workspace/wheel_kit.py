"""Wheels for tests, made in memory: what an installer needs and nothing more."""

from __future__ import annotations

import io
import zipfile


def wheel(name: str, version: str = "1.0", *, entry_points: str = "", **modules: str) -> bytes:
    """A wheel of single modules."""
    folder = f"{name}-{version}.dist-info"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for module, text in modules.items():
            archive.writestr(f"{module}.py", text)
        archive.writestr(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        if entry_points:
            archive.writestr(f"{folder}/entry_points.txt", entry_points)
        archive.writestr(f"{folder}/RECORD", "")
    return content.getvalue()
