"""The job's arguments: precedence, origins, mistakes told at once, and secrets that show nowhere."""

from __future__ import annotations

import dataclasses
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spark_utils.configuration.arguments import build_parser, parse_arguments
from spark_utils.configuration.options import options_of
from spark_utils.configuration.secrets import Secret
from spark_utils.configuration.settings import (
    OutputOptions,
    ParseOptions,
    SourceOptions,
    StorageOptions,
    StreamingConfig,
)
from spark_utils.configuration.values import StartingPosition, StopAfter, Trigger
from spark_utils.errors import ConfigurationError
from spark_utils.redaction import redact

ROOT = Path(__file__).parents[3]
KEY = "canary-key=="
CONNECTION = (
    "Endpoint=sb://e.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=canary-key==;EntityPath=telemetry"
)
ENOUGH = {
    "STREAMING_EVENT_HUBS_CONNECTION_STRING": CONNECTION,
    "STREAMING_OUTPUT_PATH": "out",
    "STREAMING_SCHEMA": "a INT",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with an empty configuration file."""
    (tmp_path / "configuration").mkdir()
    (tmp_path / "src").mkdir()
    write(tmp_path, "")
    return tmp_path


def write(project: Path, text: str, name: str = "run_args_streaming.conf") -> Path:
    file = project / "configuration" / name
    file.write_text(text, encoding="utf-8")
    return file


def parse(project: Path, *argv: str, environ: dict[str, str] | None = None, **more: Any) -> StreamingConfig:
    return parse_arguments(argv, environ={**ENOUGH, **(environ or {})}, working_directory=project, **more)


def mistakes(project: Path, *argv: str, environ: dict[str, str] | None = None, **more: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(project, *argv, environ=environ, **more)
    return str(caught.value)


def test_the_command_line_beats_the_environment_which_beats_the_file_which_beats_the_default(project: Path) -> None:
    argv, environ = ["--trigger", "1 second"], {"STREAMING_TRIGGER": "2 seconds"}
    write(project, "trigger = 3 seconds")
    assert parse(project, *argv, environ=environ).output.trigger.seconds == 1
    assert parse(project, environ=environ).output.trigger.seconds == 2
    assert parse(project).output.trigger.seconds == 3
    write(project, "")
    assert parse(project).output.trigger == Trigger("available-now")


def test_every_value_knows_where_it_came_from(project: Path) -> None:
    write(project, "# a comment\n\nconsumer-group = team")
    config = parse(project, "--trigger=once", environ={"STREAMING_PREVIEW": "5"})
    assert config.origins["trigger"] == "command line --trigger"
    assert config.origins["preview"] == "environment variable STREAMING_PREVIEW"
    assert config.origins["consumer-group"] == "configuration/run_args_streaming.conf:3"
    assert config.origins["checkpoint-path"] == "default, from --output-path"
    assert config.origins["parse-engine"] == "default"


def test_a_value_equal_to_the_default_keeps_its_origin(project: Path) -> None:
    assert parse(project, "--trigger", "available-now").origins["trigger"] == "command line --trigger"


def test_values_are_typed(project: Path) -> None:
    config = parse(
        project,
        *["--starting-position", '{"0": 5}', "--max-events-per-trigger", "10_000", "--stop-after", "30 seconds"],
        *["--flatten-policies", '{"readings": "explode"}', "--flatten-keep", "a.b, c", "--flatten-presence"],
    )
    assert config.source.starting_position == StartingPosition(None, offsets=((0, 5),))
    assert config.source.max_events_per_trigger == 10_000
    assert config.stop_after == StopAfter(seconds=30)
    assert config.flatten.policies == {"readings": "explode"}
    assert config.flatten.keep == ("a.b", "c")
    assert config.flatten.presence is True
    assert config.source.event_hubs_connection_string == Secret(CONNECTION)


def test_a_configuration_cannot_be_changed(project: Path) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        parse(project).schema = "other"  # type: ignore[misc]  # that it cannot be is the point


def test_a_flag_may_stand_alone_or_have_a_value(project: Path) -> None:
    assert parse(project).preview == 0
    assert parse(project, "--preview").preview == 20
    assert parse(project, "--preview", "3").preview == 3
    assert parse(project, environ={"STREAMING_FLATTEN_PRESENCE": "yes"}).flatten.presence is True


def test_the_file_takes_quotes_hashes_colons_and_the_command_lines_spelling(project: Path) -> None:
    write(project, "trigger: '7 seconds'\n--consumer-group = a#b = c\nflatten_separator = \"__\"\n")
    config = parse(project)
    assert (config.output.trigger.seconds, config.source.consumer_group, config.flatten.separator) == (
        7,
        "a#b = c",
        "__",
    )


def test_values_that_begin_with_a_dash_or_brackets_arrive_whole(project: Path) -> None:
    write(project, 'flatten-separator = --\nflatten-policies = {"a": "index 0"}\nconsumer-group = [a]')
    config = parse(project, environ={"STREAMING_STORAGE_KEY": "-key", "STREAMING_STORAGE_ACCOUNT_NAME": "lake"})
    assert (config.flatten.separator, config.source.consumer_group) == ("--", "[a]")
    assert config.storage.account_key == Secret("-key")


def test_a_group_made_by_hand_reads_texts_as_arguments_are_read() -> None:
    assert OutputOptions(trigger="5 seconds").trigger == Trigger("interval", 5)  # type: ignore[arg-type]  # a text
    with pytest.raises(ConfigurationError, match="engine is 'gpu': expected one of auto, jvm, arrow"):
        ParseOptions(engine="gpu")  # type: ignore[arg-type]  # a mistake


def test_a_keyword_beside_a_group_is_stronger_and_the_group_stays_as_it_is() -> None:
    group = ParseOptions(unknown="count")
    assert group.with_given(engine="arrow", unknown=None) == ParseOptions(engine="arrow", unknown="count")
    assert group == ParseOptions(unknown="count")


# ---- files and paths


@pytest.mark.parametrize("folder", ["", "src"])
def test_the_project_and_its_source_folder_find_the_same_file_and_paths(project: Path, folder: str) -> None:
    write(project, "output-path = data/telemetry\nschema = configuration/s.json")
    config = parse_arguments(
        [], environ={"STREAMING_EVENT_HUBS_CONNECTION_STRING": CONNECTION}, working_directory=project / folder
    )
    assert config.output.path == f"{project}/data/telemetry"
    assert config.output.checkpoint_path == f"{project}/data/telemetry/checkpoint"
    assert config.schema == f"{project}/configuration/s.json"


def test_paths_of_command_line_and_environment_start_from_the_working_directory(project: Path) -> None:
    config = parse(project / "src", "--schema", "../s.json")
    assert (config.schema, config.output.path) == (f"{project}/s.json", f"{project}/src/out")


@pytest.mark.parametrize("path", ["/tmp/x", "/Volumes/c/s/v/x", "abfss://c@a.dfs.core.windows.net/x", "dbfs:/x"])
def test_absolute_paths_and_urls_stay_as_they_are(project: Path, path: str) -> None:
    config = parse(project, "--output-path", path)
    assert (config.output.path, config.output.checkpoint_path) == (path, path + "/checkpoint")


@pytest.mark.parametrize("schema", ["a INT, b STRING", '{"type":"object"}', "a array<int>"])
def test_a_schema_may_be_a_text_instead_of_a_path(project: Path, schema: str) -> None:
    assert parse(project, "--schema", schema).schema == schema


def test_a_relative_output_lies_in_the_named_storage_account(project: Path) -> None:
    config = parse(project, "--storage-account-name", "lake", "--output-path", "t")
    assert config.output.path == "abfss://data@lake.dfs.core.windows.net/t"
    assert config.output.checkpoint_path == "abfss://data@lake.dfs.core.windows.net/t/checkpoint"


def test_the_account_lies_in_the_cloud_of_the_namespace(project: Path) -> None:
    government = {
        "STREAMING_EVENT_HUBS_CONNECTION_STRING": CONNECTION.replace("windows.net", "usgovcloudapi.net"),
        "STREAMING_STORAGE_ACCOUNT_NAME": "lake",
        "STREAMING_OUTPUT_PATH": "t",
    }
    config = parse(project, environ=government)
    assert config.output.path == "abfss://data@lake.dfs.core.usgovcloudapi.net/t"
    assert config.storage.account_name == "lake.dfs.core.usgovcloudapi.net"
    named = ["--storage-account-name", "lake.dfs.core.windows.net"]
    assert parse(project, *named, environ=government).output.path == "abfss://data@lake.dfs.core.windows.net/t"


def test_another_file_can_be_named_in_three_ways(project: Path) -> None:
    write(project, "trigger = 8 seconds", "prod.conf")
    name = "configuration/prod.conf"
    assert parse(project, "--config", name).output.trigger.seconds == 8
    assert parse(project, environ={"STREAMING_CONFIG": name}).output.trigger.seconds == 8
    assert parse(project, config_file=name).output.trigger.seconds == 8


def test_a_named_file_that_is_missing_is_an_error_and_a_default_one_is_not(project: Path) -> None:
    assert "'gone.conf' cannot be read" in mistakes(project, "--config", "gone.conf")
    (project / "configuration" / "run_args_streaming.conf").unlink()
    assert parse(project).output.trigger == Trigger("available-now")


# ---- mistakes


def test_all_mistakes_are_told_at_once_with_origin_and_nearest_name(project: Path) -> None:
    write(project, "triger = 2 seconds\nsource = hub\nsource = files\nnonsense\n")
    told = mistakes(
        project,
        *["--output-pth", "x", "--preview", "many"],
        environ={"STREAMING_STORAGE_KEYS": KEY, "STREAMING_PARSE_ENGINE": "pandas"},
    )
    for part in (
        "7 mistakes",
        "configuration/run_args_streaming.conf:1: unknown key 'triger'; did you mean 'trigger'?",
        "configuration/run_args_streaming.conf:3: 'source' is given twice",
        "configuration/run_args_streaming.conf:4: the line is not of the form",
        "unknown environment variable STREAMING_STORAGE_KEYS; did you mean 'STREAMING_STORAGE_KEY'?",
        "unknown option --output-pth; did you mean '--output-path'?",
        "command line --preview: invalid value 'many' for --preview: expected a whole number",
        "environment variable STREAMING_PARSE_ENGINE: invalid value 'pandas' for --parse-engine: expected one of auto",
    ):
        assert part in told
    assert "canary" not in told


def test_options_cannot_be_abbreviated(project: Path) -> None:
    assert "unknown option --trig" in mistakes(project, "--trig", "once")


def test_a_value_in_two_words_is_explained_without_showing_it(project: Path) -> None:
    told = mistakes(project, "--trigger", "5", "canary")
    assert "quote a value" in told
    assert "canary" not in told


def test_what_is_required_is_named_with_its_variable(project: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_arguments([], environ={}, working_directory=project)
    assert "--output-path is required (STREAMING_OUTPUT_PATH in the environment)" in str(caught.value)
    assert "--schema is required" in str(caught.value)


PRINCIPAL = ["--event-hubs-tenant-id", "t", "--event-hubs-client-id", "c", "--event-hubs-client-secret", KEY]


@pytest.mark.parametrize(
    ("argv", "environ", "told"),
    [
        (["--source", "files"], {}, "--source files requires --source-path"),
        (PRINCIPAL, {}, "are mutually exclusive"),
        (PRINCIPAL[:4], {}, "the service principal is incomplete: --event-hubs-client-secret missing"),
        (PRINCIPAL, {"STREAMING_EVENT_HUBS_CONNECTION_STRING": ""}, "requires --event-hubs-namespace"),
        ([], {"STREAMING_EVENT_HUBS_CONNECTION_STRING": ""}, "--source hub requires --event-hubs-connection-string"),
        ([], {"STREAMING_EVENT_HUBS_CONNECTION_STRING": KEY}, "part 1 has no known name"),
        (["--storage-account-key", KEY], {}, "--storage-account-key requires --storage-account-name"),
        (
            ["--storage-account-key", "{{secrets/canary}}"],
            {"STREAMING_STORAGE_ACCOUNT_NAME": "a"},
            "reference is malformed",
        ),
        (["--storage-sas-token", KEY], {"STREAMING_STORAGE_KEY": KEY}, "are mutually exclusive"),
        (["--checkpoint-path", "out/events/checkpoint"], {}, "put it beside the tables"),
        (["--checkpoint-path", "out/rejected"], {}, "put it beside the tables"),
        (["--checkpoint-path", "out"], {}, "give it a folder of its own"),
    ],
)
def test_what_does_not_go_together_is_refused(project: Path, argv: Any, environ: Any, told: str) -> None:
    message = mistakes(project, *argv, environ=environ)
    assert told in message
    assert "canary" not in message


@pytest.mark.parametrize(
    "environ",
    [
        {"DATABRICKS_RUNTIME_VERSION": "client.4.3"},
        {"IS_SERVERLESS": "TRUE"},
        {"DATABRICKS_SERVERLESS_COMPUTE_ID": "auto"},
    ],
)
@pytest.mark.parametrize("trigger", ["5 seconds", "once"])
def test_serverless_compute_refuses_a_trigger_it_does_not_have(
    project: Path, environ: dict[str, str], trigger: str
) -> None:
    told = mistakes(project, "--trigger", trigger, environ=environ)
    assert "serverless compute runs streams with `available-now` only" in told
    assert parse(project, "--trigger", "available-now", environ=environ).output.trigger.is_bounded
    assert parse(project, "--trigger", trigger, environ={"DATABRICKS_RUNTIME_VERSION": "18.1"}).output.trigger


def test_a_folder_of_the_driver_is_refused_on_databricks(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    told = mistakes(project, environ={"DATABRICKS_RUNTIME_VERSION": "18.0"})
    assert "is on the driver's local disk" in told


def test_a_reference_needs_no_secret_until_it_is_used(project: Path) -> None:
    config = parse(project, environ={"STREAMING_EVENT_HUBS_CONNECTION_STRING": "{{secrets/nowhere/none}}"})
    with pytest.raises(ConfigurationError, match="'none' of scope 'nowhere'"):
        _ = config.source.authentication


def test_the_identity_of_a_source_is_the_same_however_one_authenticates(project: Path) -> None:
    by_string = parse(project).source.identity
    clear = {"STREAMING_EVENT_HUBS_CONNECTION_STRING": ""}
    named = ["--event-hubs-namespace", "e", "--event-hubs-name", "telemetry"]
    assert by_string == "sb://e.servicebus.windows.net/telemetry"
    assert parse(project, *PRINCIPAL, *named, environ=clear).source.identity == by_string


# ---- secrets

ALL_SECRETS = {
    option.environment: f"canary-{option.name}" for option in options_of(StreamingConfig) if option.sensitive
}


def test_every_option_that_sounds_secret_is_declared_so() -> None:
    words = ("key", "secret", "token", "connection-string", "password")
    sounding = {option.name for option in options_of(StreamingConfig) if option.name.endswith(words)}
    assert sounding == {option.name for option in options_of(StreamingConfig) if option.sensitive}
    assert len(sounding) == 5


@pytest.mark.parametrize("variable", ALL_SECRETS, ids=str)
def test_no_secret_shows_in_any_form_of_a_configuration(project: Path, variable: str) -> None:
    option = next(option for option in options_of(StreamingConfig) if option.environment == variable)
    group: Any = {"source": SourceOptions, "storage": StorageOptions}[option.owner]
    given: dict[str, Any] = {option.owner: group(**{option.field: Secret(ALL_SECRETS[variable])})}
    config = StreamingConfig(**given)
    shown = repr(config) + str(config) + repr(dataclasses.asdict(config)) + pickle.dumps(config).decode("latin-1")
    assert "canary" not in shown
    assert option.value_in(config).reveal() == ALL_SECRETS[variable]


def test_the_key_inside_a_connection_string_is_masked_by_itself_too(project: Path) -> None:
    config = parse(project)
    assert redact(f"the key {KEY} of {CONNECTION}", config.secrets) == "the key *** of ***"


def test_a_secret_given_as_plain_text_by_hand_is_closed() -> None:
    config = StorageOptions(account_key=KEY)  # type: ignore[arg-type]  # a mistake that must not show it
    assert "canary" not in repr(config)
    assert config.account_key == Secret(KEY)


def test_no_secret_shows_in_a_refusal_of_all_of_them(project: Path) -> None:
    assert "canary" not in mistakes(project, "--trigger", "never", environ=ALL_SECRETS)


@pytest.mark.parametrize(
    "argv",
    [
        ["--storage-acount-key=canary"],
        ["--storage-acount-key", "canary"],
        ["--storage-account-key", "--canary=="],
        ["--storage-account-key"],
        ["--explain-config=canary"],
        ["canary"],
        ["-canary"],
        ["--event-hubs-name", CONNECTION.replace("telemetry", "other")],
        ["--max-depth", CONNECTION],
    ],
    ids=range(9),
)
def test_no_value_shows_in_a_complaint_about_the_command_line(project: Path, argv: list[str]) -> None:
    try:
        parse(project, *argv)
    except ConfigurationError as error:
        assert "canary" not in str(error).replace("--canary", "")  # noqa: PT017  # some of these are valid


def test_a_secret_of_the_file_does_not_show_in_a_complaint_about_its_line(project: Path) -> None:
    write(
        project,
        f"storage-acount-key = {KEY}\nstorage-account-key {KEY}\nstorage-account-key=a\nstorage-account-key={KEY}",
    )
    assert "canary" not in mistakes(project)


def test_explain_config_masks_secrets_shows_references_and_ends_well(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"STREAMING_STORAGE_KEY": "{{secrets/prod/key}}", "STREAMING_STORAGE_ACCOUNT_NAME": "lake"}
    with pytest.raises(SystemExit) as ended:
        parse(project, "--explain-config", environ=environ)
    assert ended.value.code == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert set(lines) == {option.name for option in options_of(StreamingConfig)}
    assert "***" in lines["event-hubs-connection-string"]
    assert "environment variable STREAMING_EVENT_HUBS_CONNECTION_STRING" in lines["event-hubs-connection-string"]
    assert "{{secrets/prod/key}}" in lines["storage-account-key"]
    assert "canary" not in "".join(lines.values())


def test_help_shows_every_option_its_variable_and_default_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in ALL_SECRETS.items():
        monkeypatch.setenv(variable, value)
    text = " ".join(build_parser().format_help().split())
    for option in options_of(StreamingConfig):
        assert f"--{option.name}" in text
        assert f"[env var: {option.environment}]" in text
    assert "(default: available-now)" in text
    assert "canary" not in text


def test_the_two_variables_that_were_promised_keep_their_names() -> None:
    names = {option.name: option.environment for option in options_of(StreamingConfig)}
    assert names["storage-account-key"] == "STREAMING_STORAGE_KEY"
    assert names["event-hubs-connection-string"] == "STREAMING_EVENT_HUBS_CONNECTION_STRING"


# ---- the process


def test_a_kernels_own_arguments_are_not_the_jobs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/x/ipykernel_launcher.py", "-f", "/tmp/kernel.json"])
    assert parse_arguments(environ=ENOUGH, working_directory=project).source.kind == "hub"


@pytest.mark.parametrize("folder", [".", "src"])
def test_the_shipped_configuration_is_complete(folder: str) -> None:
    program = "from spark_utils.configuration.arguments import parse_arguments; parse_arguments()"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("STREAMING_")}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['job', '--explain-config']; " + program],
        cwd=ROOT / folder,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{ROOT}/data/telemetry " in done.stdout
    assert "{{secrets/local-hub/connection-string}}" in done.stdout


def test_arguments_are_read_without_spark() -> None:
    program = "import sys, spark_utils.configuration.arguments; sys.exit('pyspark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
