"""The committed sample and table are the generated ones, and the sample is itself a valid configuration."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

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


def project(tmp_path: Path, *lines: str) -> str:
    """A configuration file of a project, which is the working directory of nobody."""
    (tmp_path / "configuration").mkdir()
    file = tmp_path / "configuration" / "run_args_streaming.conf"
    file.write_text("\n".join(["schema = schema.ddl", "output-path = out", "fast-start = true", *lines]))
    return str(file)


SECRET = "event-hubs-connection-string = {{secrets/telemetry/hub}}"


def test_a_spark_submit_line_gives_the_job_the_same_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project(tmp_path, SECRET, "trigger = 5 seconds", 'flatten-policies = {"a b": "json"}')
    assert main(["config", "spark-submit", "--config", file, "--job", "src/orders.py"]) == 0
    command, job, *arguments = shlex.split(capsys.readouterr().out)
    assert (command, job) == ("spark-submit", "src/orders.py")
    there = parse_arguments(arguments, environ={}, config_file="/dev/null", working_directory=tmp_path)
    here = parse_arguments([], environ={}, config_file=file)
    assert (there.output, there.flatten) == (here.output, here.flatten)
    assert there.fast_start is False


def test_a_job_is_declared_with_its_options_and_its_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "job", "--config", project(tmp_path, SECRET)]) == 0
    resources = yaml.safe_load(capsys.readouterr().out)["resources"]
    assert resources["files"]["schema"] == {"file": "schema.ddl", "path": "schemas/schema.ddl"}
    assert resources["jobs"]["streaming"]["tasks"][0]["python_wheel_task"]["parameters"] == [
        "--schema=${files.schema.path}",
        "--output-path=${var.output}",
        "--event-hubs-connection-string={{secrets/telemetry/hub}}",
    ]


def test_a_plain_secret_gets_into_no_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = "Endpoint=sb://e.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=canary==;EntityPath=t"
    file = project(tmp_path, f"event-hubs-connection-string = {plain}")
    assert main(["config", "spark-submit", "--config", file]) == 1
    shown = capsys.readouterr()
    assert f"{file}:4" in shown.err
    assert "canary" not in shown.out + shown.err
