"""The command `devkit` as a whole: its verbs, and what starting it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

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


def test_an_unknown_verb_is_told_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["hubb", "up"])
    assert "invalid choice: 'hubb'" in capsys.readouterr().err
