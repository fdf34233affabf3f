"""`--fresh` takes another output after asking, and leaves the one that is there alone."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from spark_utils.configuration.arguments import parse_arguments
from spark_utils.configuration.settings import StreamingConfig
from spark_utils.errors import ConfigurationError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def parse(folder: Path, *more: str, answer: io.StringIO | None = None) -> StreamingConfig:
    given = ["--source", "files", "--source-path", ".", "--schema", "a INT", "--output-path", "out", "--fresh", *more]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", answer or io.StringIO())
        return parse_arguments(given, environ={}, working_directory=folder)


def test_a_yes_takes_the_next_free_output_with_a_checkpoint_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out-2").mkdir()
    output = parse(tmp_path, answer=Terminal("y\n")).output
    assert (output.path, output.checkpoint_path) == (f"{tmp_path}/out-3", f"{tmp_path}/out-3/checkpoint")


def test_anything_but_a_yes_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(SystemExit, match="nothing was started"):
        parse(tmp_path, answer=Terminal("\n"))


def test_an_output_that_is_not_there_yet_is_taken_without_a_question(tmp_path: Path) -> None:
    assert parse(tmp_path).output.path == f"{tmp_path}/out"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "nobody is there to be asked (from command line --fresh). Give another --output-path, such as"),
        (("--checkpoint-path", "elsewhere"), "the checkpoint has a path of its own .* and another --checkpoint-path."),
        (("--output-path", "abfss://c@a.dfs.core.windows.net/x"), "is no folder of this machine"),
    ],
)
def test_what_cannot_be_asked_or_taken_is_an_error_with_the_way_on(
    tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigurationError, match=said.replace("(from", r"\(from").replace("fresh)", r"fresh\)")):
        parse(tmp_path, *more)
