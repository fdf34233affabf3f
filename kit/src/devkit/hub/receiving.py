"""Reading back what a hub holds, from its beginning to its end at this moment."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

from devkit.hub.client import ANSWER_SECONDS, kafka_settings
from devkit.hub.recording import RecordedEvent
from spark_utils.errors import RuntimeSetupError
from spark_utils.sources.event_hubs import parse_connection_string

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message, TopicPartition


def receive(connection_string: str, hub: str, *, newest: int | None = None) -> list[RecordedEvent]:
    """Return what a hub holds now, in order of partition and offset.

    Args:
        connection_string: Of the hub or its namespace.
        hub: Its name.
        newest: How many events of each partition at most, its newest; all by default.

    Raises:
        RuntimeSetupError: There is no such hub, or it does not answer.
    """
    from confluent_kafka import Consumer

    settings = kafka_settings(parse_connection_string(connection_string))
    consumer = Consumer(settings | {"group.id": "$Default", "enable.auto.commit": False, "fetch.wait.max.ms": 20})
    try:
        return sorted(_drain(consumer, hub, newest), key=lambda event: (event.partition, event.offset))
    finally:
        consumer.close()


def in_time(events: list[RecordedEvent]) -> list[RecordedEvent]:
    """Return events of several partitions by their enqueued times, each partition's in its own order."""
    partitions = [[*group] for _, group in groupby(events, key=lambda event: event.partition)]
    return [*heapq.merge(*partitions, key=lambda event: event.enqueued_time or datetime.min.replace(tzinfo=UTC))]


def _drain(consumer: Consumer, hub: str, newest: int | None) -> Iterator[RecordedEvent]:
    left = _unread(consumer, hub, newest)
    consumer.assign(list(left))
    ends = {place.partition: end for place, end in left.items()}
    deadline = time.monotonic() + ANSWER_SECONDS
    while ends:
        message = consumer.poll(0.2)
        if message is None:
            if time.monotonic() > deadline:
                raise RuntimeSetupError(f"event hub {hub!r} stopped answering")
            continue
        if (error := message.error()) is not None:
            raise RuntimeSetupError(f"event hub {hub!r} cannot be read: {error.str()}")
        deadline = time.monotonic() + ANSWER_SECONDS
        event = _event(message)
        yield event
        if event.partition in ends and (event.offset or 0) + 1 >= ends[event.partition]:
            del ends[event.partition]


def _unread(consumer: Consumer, hub: str, newest: int | None) -> dict[TopicPartition, int]:
    """Return where reading each partition that holds anything starts, and its end."""
    from confluent_kafka import KafkaException, TopicPartition

    try:
        topic = consumer.list_topics(hub, timeout=ANSWER_SECONDS).topics[hub]
        found = {}
        for partition in topic.partitions:
            start, end = consumer.get_watermark_offsets(TopicPartition(hub, partition), timeout=ANSWER_SECONDS)
            start = start if newest is None else max(start, end - newest)
            if end > start:
                found[TopicPartition(hub, partition, start)] = end
    except KafkaException as error:
        raise RuntimeSetupError(f"event hub {hub!r} cannot be read: {error.args[0].str()}") from None
    if not topic.partitions:
        raise RuntimeSetupError(f"there is no event hub {hub!r}", remedy="`devkit hub status` lists them.")
    return found


def _event(message: Message) -> RecordedEvent:
    milliseconds = message.timestamp()[1]
    return RecordedEvent(
        body=message.value(),
        key=message.key(),
        headers=_headers(message),
        partition=message.partition(),
        offset=message.offset(),
        enqueued_time=datetime.fromtimestamp(milliseconds / 1000, UTC),
    )


def _headers(message: Message) -> tuple[tuple[str, bytes | None], ...]:
    headers: list[tuple[str, bytes | None]] = message.headers() or []  # type: ignore[assignment]  # bytes when read
    return tuple(headers)
