"""The command `devkit` as a whole: its verbs, and what starting it costs."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from devkit import __version__
from devkit.cli import COMMANDS, main

HEAVY = ("pyspark", "pyarrow", "databricks", "werkzeug", "confluent_kafka", "mkdocs")


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert f"usage: devkit {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("verb", COMMANDS)
def test_no_verb_loads_a_heavy_package_before_it_works(verb: str) -> None:
    code = f"""
import sys
from devkit.cli import main
try:
    main([{verb!r}, "--help"])
except SystemExit:
    pass
print(sorted(set(sys.modules) & set({HEAVY!r})))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["hubb", "up"], "unknown verb 'hubb'; did you mean 'hub'? Known: hub, tables,"),
        (["hub", "stats"], "unknown verb 'stats'; did you mean 'status'? Known: up, down,"),
        (["env", "--spark", "wram"], "unknown --spark 'wram'; did you mean 'warm'? Known: classic, warm."),
        (["xyz"], "unknown verb 'xyz'. Known: hub, tables,"),
    ],
)
def test_a_misspelt_word_is_told_the_nearest_and_the_known_ones(
    capsys: pytest.CaptureFixture[str], given: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_an_interrupted_verb_ends_without_a_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt = SimpleNamespace(
        add_arguments=lambda parser: parser.set_defaults(run=lambda _: signal.raise_signal(signal.SIGINT))
    )
    monkeypatch.setitem(sys.modules, "interrupt", interrupt)
    monkeypatch.setitem(COMMANDS, "interrupt", ("interrupt", "interrupt itself"))
    assert main(["interrupt"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"devkit {__version__}\n"


def test_bash_completes_verbs_options_choices_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    (tmp_path / "devkit.sh").write_text(capsys.readouterr().out)
    (tmp_path / "events.ndjson").touch()

    def completed(*words: str) -> list[str]:
        line = f"COMP_WORDS=({' '.join(map(repr, words))}); COMP_CWORD={len(words) - 1}; _shtab_devkit"
        script = (
            f'shopt -s progcomp; . ./devkit.sh; {line} devkit {words[-1]!r} {words[-2]!r}; echo "${{COMPREPLY[@]}}"'
        )
        return subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.split()

    assert completed("devkit", "wa") == ["watch", "warm"]
    assert completed("devkit", "watch", "--rec") == ["--recording"]
    assert completed("devkit", "env", "--spark", "w") == ["warm"]
    assert "pipeline" in completed("devkit", "p"), "verbs of other packages"
    assert completed("devkit", "hub", "send", "ev") == completed("devkit", "watch", "--job", "ev") == ["events.ndjson"]
