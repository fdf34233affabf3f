"""The committed sample and table are the generated ones, and the sample is itself a valid configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from devkit.cli import main
from devkit.project.config_command import README_FILE, SAMPLE_FILE, sample
from spark_utils.configuration.arguments import parse_arguments
from spark_utils.configuration.options import options_of
from spark_utils.configuration.settings import StreamingConfig
from spark_utils.errors import ConfigurationError

ROOT = Path(__file__).parents[3]


def test_the_committed_files_are_the_generated_ones() -> None:
    assert main(["config", "sample", "--check", "--project", str(ROOT)]) == 0


@pytest.mark.parametrize("file", [SAMPLE_FILE, README_FILE])
def test_a_file_that_is_out_of_date_is_found_and_mended(
    tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "configuration").mkdir()
    for name in (SAMPLE_FILE, README_FILE):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    text = (tmp_path / file).read_text(encoding="utf-8")
    generated = "When a micro-batch starts"
    (tmp_path / file).write_text(text.replace(generated, "When it starts", 1), encoding="utf-8")
    assert generated in text
    assert main(["config", "sample", "--check", "--project", str(tmp_path)]) == 1
    assert "devkit config sample" in capsys.readouterr().err
    assert main(["config", "sample", "--project", str(tmp_path)]) == 0
    assert (tmp_path / file).read_text(encoding="utf-8") == text


def test_each_option_of_the_sample_is_accepted(tmp_path: Path) -> None:
    lines = [
        line[2:] for line in sample(options_of(StreamingConfig)).splitlines() if " = " in line and line[:2] == "# "
    ]
    settings = [line for line in lines if line.split(" = ")[0] in {o.name for o in options_of(StreamingConfig)}]
    assert len(settings) == len(options_of(StreamingConfig))
    file = tmp_path / "all.conf"
    file.write_text("\n".join(settings), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        parse_arguments([], environ={}, config_file=file, working_directory=tmp_path)
    # every way to authenticate is named, so these, and nothing else, are at odds
    told = [line for line in str(caught.value).splitlines() if line.startswith("  - ")]
    assert len(told) == 2
    assert all("are mutually exclusive" in line for line in told)
