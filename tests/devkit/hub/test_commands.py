"""`devkit hub`, run as a user does."""

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from devkit.cli import main
from devkit.hub.broker import LocalHub
from devkit.hub.commands import connection_string_file
from devkit.hub.generator import generate
from devkit.hub.receiving import receive
from devkit.hub.recording import RecordedEvent, read_events
from devkit.processes import free_port


@pytest.fixture(scope="module")
def started_hub(own_home: Path) -> Iterator[LocalHub]:
    hub = LocalHub.shared()
    try:
        assert main(["hub", "up", "--port", str(free_port()), "--partitions", "2"]) == 0
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
