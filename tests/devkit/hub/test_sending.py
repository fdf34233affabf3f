"""Sending at a rate, and by partition key to a real event hub; time and client are handed in."""

from typing import Any

import pytest

from devkit.hub.azure import FLUSH_EVENTS, AzureSender
from devkit.hub.client import Progress
from devkit.hub.generator import Shares, generate
from devkit.hub.recording import RecordedEvent
from devkit.hub.sending import SendReport, send_paced


class ListSender:
    """A sender into a list, with a clock that moves only while it pauses."""

    hub = "list"

    def __init__(self) -> None:
        self.bodies: list[bytes | None] = []
        self.now = 100.0
        self.flushed = 0
        self.interrupt_after: int | None = None

    def send(self, body: bytes | None, **_place: object) -> None:
        if len(self.bodies) == self.interrupt_after:
            raise KeyboardInterrupt
        self.bodies.append(body)

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def flush(self) -> None:
        self.flushed = len(self.bodies)

    def clock(self) -> float:
        return self.now


def test_a_slow_hub_that_goes_on_acknowledging_is_waited_for_however_long_it_takes() -> None:
    clock = ListSender()
    progress = Progress(60, clock.clock)
    for _ in range(1_000):
        progress.send()
    for _ in range(999):
        clock.pause(59)
        assert not progress.stalled
        progress.acknowledge()


def test_a_hub_that_acknowledges_nothing_for_too_long_stands_still() -> None:
    clock = ListSender()
    progress = Progress(60, clock.clock)
    clock.pause(1_000)  # nothing was due all the while
    progress.send()
    clock.pause(60)
    assert not progress.stalled
    clock.pause(0.1)
    assert progress.stalled
    progress.acknowledge()
    clock.pause(1_000)
    assert not progress.stalled


def test_a_rate_is_kept() -> None:
    sender = ListSender()
    report = send_paced(sender, generate(500), rate=100, clock=sender.clock)
    assert report.sent == 500
    assert report.seconds == pytest.approx(5.0)
    assert report.rate == pytest.approx(100)


def test_the_time_limit_ends_an_endless_source() -> None:
    sender = ListSender()
    report = send_paced(sender, generate(None), rate=50, seconds=2, clock=sender.clock)
    assert report.sent == pytest.approx(100, abs=1)
    assert sender.flushed == report.sent


def test_ctrl_c_still_delivers_and_counts_what_was_sent() -> None:
    sender = ListSender()
    sender.interrupt_after = 7
    report = send_paced(sender, generate(None), clock=sender.clock)
    assert (report.sent, sender.flushed) == (7, 7)


def test_progress_is_told_once_a_second() -> None:
    sender = ListSender()
    told: list[float] = []

    def note(report: SendReport) -> None:
        told.append(report.seconds)

    send_paced(sender, generate(100), rate=25, progress=note, clock=sender.clock)
    assert told == pytest.approx([1.0, 2.0, 3.0], abs=0.05)


def test_families_are_counted_clean_first() -> None:
    sender = ListSender()
    report = send_paced(sender, generate(2_000, shares=Shares(malformed=0.6, lossy=0.2)), clock=sender.clock)
    assert list(report.families()) == ["clean", "malformed", "lossy"]
    assert sum(report.families().values()) == 2_000


def test_events_without_a_kind_are_counted_as_unlabelled() -> None:
    assert send_paced(ListSender(), [RecordedEvent(b"{}")]).kinds == {"unlabelled": 1}


class InMemoryClient:
    """What `AzureSender` needs of `EventHubProducerClient`: batches that hold three events."""

    def __init__(self) -> None:
        self.sent: list[tuple[str | None, list[Any]]] = []

    def create_batch(self, *, partition_key: str | None) -> "InMemoryBatch":
        return InMemoryBatch(partition_key)

    def send_batch(self, batch: "InMemoryBatch") -> None:
        self.sent.append((batch.partition_key, batch.events))


class InMemoryBatch:
    def __init__(self, partition_key: str | None) -> None:
        self.partition_key = partition_key
        self.events: list[Any] = []

    def add(self, event: Any) -> None:
        if len(self.events) == 3:
            raise ValueError("full")
        self.events.append(event)

    def __len__(self) -> int:
        return len(self.events)


def test_azure_events_go_in_batches_of_one_key_each_in_order() -> None:
    client = InMemoryClient()
    sender = AzureSender(client, "telemetry")
    events = list(generate(20, devices=3))
    send_paced(sender, events)
    assert sender.acknowledged == 20
    for key in {event.key for event in events}:
        batches = [batch for name, batch in client.sent if name == key.decode()]
        bodies = [b"".join(event.body) for batch in batches for event in batch]
        assert bodies == [event.body for event in events if event.key == key]
        assert all(event.properties == {"kind": b"clean"} for batch in batches for event in batch)


def test_azure_sends_a_full_queue_without_being_asked() -> None:
    client = InMemoryClient()
    sender = AzureSender(client, "telemetry")
    for event in generate(FLUSH_EVENTS, devices=1):
        sender.send(event.body, key=event.key)
    assert sender.acknowledged == FLUSH_EVENTS
