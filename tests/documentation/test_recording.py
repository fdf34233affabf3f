"""The picture of README's commands: made by running them, and shown."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.documentation.recording import PICTURE, commands, record
from tests.project import ROOT


def texts(picture: str) -> list[str]:
    """What the picture says, piece by piece."""
    found = ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")
    return [(text.text or "").replace("\xa0", " ").rstrip() for text in found]


def test_a_recording_is_what_the_commands_say_to_a_terminal(tmp_path: Path) -> None:
    picture = record(["test -t 1", r'printf "half\rwhole\n"; printf "\033[1mat\033[0m %s\n" "$PWD"'], tmp_path)
    found = texts(picture)
    assert {"$ test -t 1", "whole", "at", " ~"} <= {*found}
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "").replace("https://www.textualize.io", "")


def test_a_make_within_a_make_shows_what_a_users_make_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Makefile").write_text("all:\n\t@echo made at level $(MAKELEVEL)\n")
    monkeypatch.setenv("MAKELEVEL", "1")
    monkeypatch.setenv("MAKEFLAGS", "w")
    found = texts(record(["make"], tmp_path))
    assert "made at level 0" in found
    assert not [text for text in found if "directory" in text]


def test_a_command_that_fails_ends_the_recording(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"`false` ended with status 1"):
        record(["false"], tmp_path)


def test_the_page_shows_readmes_commands_with_nothing_of_the_machine_that_ran_them() -> None:
    said = texts(PICTURE.read_text(encoding="utf-8"))
    assert [text.removeprefix("$ ") for text in said if text.startswith("$ ")] == commands()
    assert re.findall(r"/(?:tmp|root|home|Users|work)/|SharedAccessKey=(?!\*\*\*)", "\n".join(said)) == []
    assert {"events", "rejected"} <= set(re.findall(r"\w+", " ".join(said)))
    assert "](recording.svg)" in (ROOT / "docs" / "recording.md").read_text(encoding="utf-8")
