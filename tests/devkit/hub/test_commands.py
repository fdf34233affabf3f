"""`devkit hub`, run as a user does."""

import base64
import json
import re
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]  # py4j ships no types
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from devkit import cache
from devkit.cli import main
from devkit.hub.broker import LocalHub
from devkit.hub.client import EventSender, kafka_settings, send
from devkit.hub.commands import connection_string_file
from devkit.hub.generator import generate
from devkit.hub.receiving import in_time, receive
from devkit.hub.recording import RecordedEvent, read_events, recorded_line
from devkit.hub.tls import CLIENT_ID
from devkit.processes import free_port
from spark_utils.configuration.arguments import parse_arguments
from spark_utils.configuration.secrets import Secret
from spark_utils.configuration.settings import SourceOptions
from spark_utils.sources.event_hubs import parse_connection_string
from spark_utils.sources.read_stream import read_batch, source_options
from tests.patience import wait_for


@pytest.fixture(scope="module")
def started_hub(own_home: Path) -> Iterator[LocalHub]:
    hub = LocalHub.shared()
    try:
        assert main(["hub", "up", "--port", str(free_port()), "--tls", "--partitions", "2"]) == 0
        yield hub
    finally:
        hub.stop()


@pytest.fixture
def hub(started_hub: LocalHub, request: pytest.FixtureRequest) -> str:
    """The name of an empty event hub of two partitions, on the shared local hub."""
    name = str(request.node.name).replace("_", "-")[:60]
    assert main(["hub", "up", "--hub", name, "--partitions", "2"]) == 0
    return name


def test_up_writes_the_connection_string_for_the_job_and_the_owner_only(started_hub: LocalHub, hub: str) -> None:
    assert connection_string_file().read_text() == started_hub.connection_string(hub)
    assert stat.S_IMODE(connection_string_file().stat().st_mode) == 0o600


@pytest.fixture
def with_tls(
    started_hub: LocalHub, hub: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[SourceOptions, SourceOptions]:
    """The source by connection string, and by an application's identity, as `devkit hub up` says a job writes them."""
    capsys.readouterr()
    assert main(["hub", "up", "--hub", hub]) == 0
    shown = capsys.readouterr().out
    assert started_hub.client_secret not in shown
    sources = []
    for lines in shown.partition("with TLS")[2].partition(":\n")[2].split("or, as an application with an identity:"):
        file = tmp_path / "tls.conf"
        file.write_text(f"{lines}\nschema = a INT\noutput-path = out\n".replace("\n  ", "\n"))
        sources.append(parse_arguments(["--config", str(file)]).source)
    by_string, by_identity = sources
    return by_string, by_identity


def test_a_job_reads_behind_tls_by_the_keys_of_azure(
    spark: SparkSession, started_hub: LocalHub, hub: str, with_tls: tuple[SourceOptions, SourceOptions]
) -> None:
    assert send(started_hub.connection_string(hub, tls=True), generate(3)) == 3
    for source, mechanism in zip(with_tls, ("PLAIN", "OAUTHBEARER"), strict=True):
        options = source_options(source)
        assert (options["kafka.security.protocol"], options["kafka.sasl.mechanism"]) == ("SASL_SSL", mechanism)
        assert read_batch(spark, source).count() == 3


def test_a_wrong_key_and_a_wrong_client_secret_are_refused_behind_tls(
    spark: SparkSession, started_hub: LocalHub, with_tls: tuple[SourceOptions, SourceOptions]
) -> None:
    by_string, by_identity = with_tls
    assert by_string.event_hubs_connection_string is not None
    text = by_string.event_hubs_connection_string.reveal()
    wrong = started_hub.client_secret[::-1]
    for source in (
        replace(by_string, event_hubs_connection_string=Secret(text.replace(started_hub.client_secret, wrong))),
        replace(by_identity, event_hubs_client_secret=Secret(wrong)),
        replace(by_identity, event_hubs_client_id="another"),
    ):
        with pytest.raises((PySparkException, Py4JJavaError)) as caught:
            read_batch(spark, source).count()
        assert re.search("Authentication failed|code 401", str(caught.value))
        assert wrong not in str(caught.value)


def test_a_token_that_the_hub_did_not_sign_is_refused(started_hub: LocalHub) -> None:
    def forged(_: str) -> tuple[str, float]:
        parts = ({"alg": "HS256"}, {"sub": CLIENT_ID, "exp": int(time.time()) + 600}, "signature")
        token = ".".join(base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in parts)
        return token, time.time() + 600

    def refused() -> bool:
        admin.poll(0.1)
        return any("invalid_token" in error.str() for error in errors)

    errors: list[KafkaError] = []
    tls = kafka_settings(parse_connection_string(started_hub.connection_string(tls=True)))
    own: dict[str, Any] = {"sasl.mechanisms": "OAUTHBEARER", "oauth_cb": forged, "error_cb": errors.append}
    admin = AdminClient(tls | own)
    with pytest.raises(KafkaException):
        admin.list_topics(timeout=1)
    wait_for(refused)


def test_keys_of_tls_are_the_owners_and_a_running_hub_keeps_its_listeners(
    started_hub: LocalHub, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = started_hub.client_secret.encode()
    private = [
        path
        for path in cache.home().rglob("*")
        if path.is_file() and any(each in path.read_bytes() for each in (b"PRIVATE KEY", secret))
    ]
    assert {"tls-key.pem", "client-secret", "tls-connection-string"} <= {path.name for path in private}
    assert [path for path in private if path.stat().st_mode & 0o077] == []
    assert main(["hub", "up", "--no-tls"]) == 1
    assert "already running with TLS" in capsys.readouterr().err


def test_a_recorded_file_is_sent_byte_for_byte(
    started_hub: LocalHub, hub: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mixed.recorded.jsonl"
    shares = ["--malformed", "0.3", "--lossy", "0.2", "--drifting", "0.2", "--duplicate-keys", "0.2"]
    assert main(["hub", "generate", "300", "--output", str(file), "--seed", "5", *shares]) == 0
    assert main(["hub", "send", str(file), "--hub", hub]) == 0
    assert "duplicate-keys" in capsys.readouterr().out
    received = receive(started_hub.connection_string(), hub)

    def content(events: Iterable[RecordedEvent]) -> list[tuple[object, ...]]:
        return sorted((event.key, event.body, event.headers) for event in events)

    assert content(received) == content(read_events(file))


def test_a_recording_holds_the_newest_events_of_the_jobs_hub_and_replays_them_to_their_partitions(
    started_hub: LocalHub, hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EventSender(started_hub.connection_string(hub)) as sender:
        for place, body in enumerate([b"old", b'{"a": 1}', b"", None, b"\xff\x00"]):
            headers = [("kind", b"\x00\xff"), ("none", None)]
            sender.send(body, key=b"one key for both", headers=headers, partition=place % 2)
            sender.pause(0.005)  # so that each has a time of its own, in milliseconds
    configuration = tmp_path / "configuration" / "run_args_streaming.conf"
    configuration.parent.mkdir()
    reference = "event-hubs-connection-string = {{secrets/local-hub/connection-string}}"
    configuration.write_text(f"{reference}\nschema = a INT\noutput-path = out\n")
    monkeypatch.chdir(tmp_path)
    assert main(["hub", "record", "sample.recorded.jsonl", "--events", "4"]) == 0
    text = Path("sample.recorded.jsonl").read_text()
    assert started_hub.connection_string().partition("SharedAccessKey=")[2].partition(";")[0] not in text

    def content(of: str) -> list[tuple[object, ...]]:
        events = receive(started_hub.connection_string(), of)
        return [(event.partition, event.key, event.body, event.headers) for event in events]

    sent = [each for each in content(hub) if each[2] != b"old"]
    assert main(["hub", "up", "--hub", f"{hub[:-1]}2", "--partitions", "2"]) == 0
    assert main(["hub", "replay", "sample.recorded.jsonl", "--hub", f"{hub[:-1]}2", "--speed", "inf"]) == 0
    assert content(f"{hub[:-1]}2") == sent
    assert len(sent) == 4


def test_a_replay_keeps_the_spacing_and_folds_partitions_that_are_not_there(
    started_hub: LocalHub, hub: str, tmp_path: Path
) -> None:
    file, start = tmp_path / "spaced.recorded.jsonl", datetime(2026, 1, 1, tzinfo=UTC)
    moments = (start, start + timedelta(seconds=0.4))
    events = [RecordedEvent(b"", partition=5, offset=place, enqueued_time=at) for place, at in enumerate(moments)]
    file.write_bytes(b"".join(map(recorded_line, events)))
    assert main(["hub", "replay", str(file), "--hub", hub, "--speed", "2"]) == 0
    first, second = receive(started_hub.connection_string(), hub)
    assert first.partition == second.partition == 1
    assert first.enqueued_time is not None
    assert second.enqueued_time is not None
    assert second.enqueued_time - first.enqueued_time >= timedelta(seconds=0.198)  # twice as fast, in milliseconds


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["record", "sample.ndjson"], "is not named *.recorded.jsonl"),
        (["record", "sample.recorded.jsonl", "--events", "0"], "invalid events: 0"),
        (["replay", "sample.recorded.jsonl", "--speed", "0"], "invalid speed: 0"),
        (["replay", "sample.recorded.jsonl", "--hub", "none"], "there is no event hub 'none'"),
    ],
)
def test_what_cannot_be_recorded_or_replayed_is_one_line(
    started_hub: LocalHub, given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hub", *given]) == 1
    assert said in capsys.readouterr().err


def test_events_of_several_partitions_go_by_time_and_each_partitions_in_its_own_order() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def event(partition: int, offset: int, seconds: int) -> RecordedEvent:
        at = start + timedelta(seconds=seconds)
        return RecordedEvent(b"", partition=partition, offset=offset, enqueued_time=at)

    events = [event(0, 0, 1), event(0, 1, 0), event(0, 2, 5), event(1, 0, 2), event(1, 1, 3)]
    places = [(each.partition, each.offset) for each in in_time(events)]
    assert places == [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2)]


def test_forever_ends_when_the_time_is_over_and_stays_below_the_rate(
    started_hub: LocalHub, hub: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hub", "send", "--forever", "--seconds", "0.5", "--rate", "100", "--hub", hub]) == 0
    received = len(receive(started_hub.connection_string(), hub))
    assert f"sent {received} events to {hub} " in capsys.readouterr().out
    # How many, to the event, is `tests/devkit/hub/test_sending.py`'s, whose clock is its own.
    assert 1 <= received <= 52


def test_a_connection_string_reference_names_the_target(
    started_hub: LocalHub, hub: str, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = "{{secrets/local-hub/connection-string}}"
    assert main(["hub", "send", "--generate", "5", "--connection-string", reference]) == 0
    assert len(receive(started_hub.connection_string(), hub)) == 5


def test_generate_with_a_seed_writes_the_same_ndjson_again(tmp_path: Path) -> None:
    file = tmp_path / "clean.ndjson"
    for _ in range(2):
        assert main(["hub", "generate", "20", "--output", str(file), "--seed", "9"]) == 0
        assert file.read_bytes().splitlines() == [event.body for event in generate(20, seed=9)]


def test_a_file_that_is_not_there_is_one_line(started_hub: LocalHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hub", "send", "no-such-file.ndjson"]) == 1
    assert "devkit: cannot read no-such-file.ndjson" in capsys.readouterr().err


def test_up_status_send_reset_and_down(started_hub: LocalHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hub", "up"]) == 0
    text = started_hub.connection_string("telemetry")

    assert main(["hub", "send", "--generate", "200", "--seed", "3", "--malformed", "0.1"]) == 0
    shown = capsys.readouterr().out
    assert "sent 200 events to telemetry" in shown
    assert "malformed" in shown
    assert len(receive(text, "telemetry")) == 200

    assert main(["hub", "status"]) == 0
    shown = capsys.readouterr().out
    assert "telemetry: 2 partitions" in shown
    assert "SharedAccessKey=***" in shown
    key = text.partition("SharedAccessKey=")[2].partition(";")[0]
    assert key not in shown
    assert main(["hub", "status", "--show-connection-string"]) == 0
    assert text in capsys.readouterr().out

    assert main(["hub", "up", "--partitions", "5"]) == 0
    assert "2 partitions (it was there before" in capsys.readouterr().out

    assert main(["hub", "reset"]) == 0
    assert receive(text, "telemetry") == []

    assert main(["hub", "down"]) == 0
    assert main(["hub", "status"]) == 3
    assert main(["hub", "down"]) == 0
    capsys.readouterr()
    assert main(["hub", "send", "--generate", "1"]) == 1
    assert "devkit hub up" in capsys.readouterr().err
