"""A linter for the options of Spark's Kafka source when it reads Event Hubs.

Source of the numbers: https://learn.microsoft.com/azure/event-hubs/apache-kafka-configurations
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Finding:
    """One thing to mend.

    Args:
        option: The option, as Spark's Kafka source names it.
        problem: What is wrong with it (never a credential).
        remedy: What to write instead.
        severity: `error` (it will fail or lose data) or `warning` (it will be slow or disconnect now and then).
    """

    option: str
    problem: str
    remedy: str
    severity: str = "error"

    def __str__(self) -> str:
        """One readable line."""
        return f"{self.severity}: {self.option}: {self.problem}. {self.remedy}"


# option -> (lowest, highest, severity, why), in milliseconds
_RANGES: Final[dict[str, tuple[int, int, str, str]]] = {
    "kafka.request.timeout.ms": (60_000, 3_600_000, "warning", "Event Hubs internally waits at least 20 s; use 60 s"),
    "kafka.session.timeout.ms": (6_000, 300_000, "error", "the service accepts 6 s to 300 s, and 30 s is advised"),
    "kafka.heartbeat.interval.ms": (1_000, 10_000, "warning", "3 s is advised, and not more"),
    "kafka.max.poll.interval.ms": (6_000, 3_600_000, "warning", "a rebalance follows when a batch takes longer"),
    "kafka.metadata.max.age.ms": (1_000, 239_999, "warning", "Azure closes idle connections after 240 s; use 180 s"),
    "kafka.connections.max.idle.ms": (1_000, 239_999, "error", "Azure closes idle connections after 240 s; use 180 s"),
}
_EXPLICIT: Final = {
    "failOnDataLoss": "without it a reader of the code does not know whether lost events stop the query",
    "kafka.request.timeout.ms": "the client's default of 30 s is below the advised 60 s",
    "kafka.metadata.max.age.ms": "the client's default of 300 s is above the 240 s after which Azure disconnects",
    "kafka.connections.max.idle.ms": "the client's default of 540 s is above the 240 s after which Azure disconnects",
}
_STARTS: Final = ("startingOffsets", "startingTimestamp", "startingOffsetsByTimestamp")


def check_kafka_options(options: Mapping[str, str]) -> list[Finding]:
    """Look for settings that Event Hubs refuses, or that fail or lose data later.

    Args:
        options: Options of `spark.readStream.format("kafka")`, as `kafka_options` returns them or written by hand.

    Returns:
        What was found, errors first; empty when all is well.
    """
    checks: tuple[Callable[[Mapping[str, str]], Iterator[Finding]], ...] = (_connection, _ranges, _explicit, _habits)
    found = [finding for check in checks for finding in check(options)]
    return sorted(found, key=lambda finding: finding.severity)


def _connection(options: Mapping[str, str]) -> Iterator[Finding]:
    servers = options.get("kafka.bootstrap.servers", "")
    if not servers:
        yield Finding("kafka.bootstrap.servers", "it is missing", "Write NAMESPACE.servicebus.windows.net:9093.")
    in_azure = ".servicebus." in servers
    if in_azure and not servers.endswith(":9093"):
        yield Finding("kafka.bootstrap.servers", f"{servers!r} is not the Kafka port", "Event Hubs listens on 9093.")
    if not any(name in options for name in ("subscribe", "assign", "subscribePattern")):
        yield Finding("subscribe", "it is missing", "Name the event hub.")
    if "databricks.serviceCredential" in options:
        for name in (name for name in options if name.startswith("kafka.sasl.")):
            yield Finding(name, "a service credential excludes SASL options", "Leave it out.")
        return
    if in_azure and options.get("kafka.security.protocol") != "SASL_SSL":
        yield Finding("kafka.security.protocol", "Event Hubs speaks SASL_SSL only", "Write SASL_SSL.")
    mechanism = options.get("kafka.sasl.mechanism")
    if mechanism not in ("PLAIN", "OAUTHBEARER"):
        shown = "it is missing" if mechanism is None else f"{mechanism!r} is not supported by Event Hubs"
        yield Finding("kafka.sasl.mechanism", shown, "Write PLAIN or OAUTHBEARER.")
    if "kafka.sasl.jaas.config" not in options:
        yield Finding("kafka.sasl.jaas.config", "it is missing", "Use kafka_options() to write it.")


def _ranges(options: Mapping[str, str]) -> Iterator[Finding]:
    for option, (lowest, highest, severity, why) in _RANGES.items():
        value = options.get(option)
        if value is None:
            continue
        if not value.isdecimal():
            yield Finding(option, f"{value!r} is not a number of milliseconds", "Write digits only.")
        elif not lowest <= int(value) <= highest:
            yield Finding(option, f"{value} ms is outside {lowest} to {highest}", f"Mind that {why}.", severity)


def _explicit(options: Mapping[str, str]) -> Iterator[Finding]:
    for option, why in _EXPLICIT.items():
        if option not in options:
            yield Finding(option, "it is not set", f"Set it: {why}.", "warning")
    if not any(name in options for name in _STARTS):
        yield Finding(
            "startingOffsets", "it is not set", "Set it: a stream starts at `latest` without a word.", "warning"
        )


def _habits(options: Mapping[str, str]) -> Iterator[Finding]:
    compression = options.get("kafka.compression.type", "none")
    if compression not in ("none", "gzip"):
        yield Finding("kafka.compression.type", f"{compression!r} is not supported by Event Hubs", "Use gzip or none.")
    if options.get("failOnDataLoss", "true").lower() != "true":
        yield Finding("failOnDataLoss", "events that expired unread are skipped silently", "Write true.", "warning")
    if "kafka.group.id" in options:
        remedy = "Use groupIdPrefix: two queries with one group id take each other's partitions."
        yield Finding("kafka.group.id", "a fixed group id is shared by restarts and other queries", remedy)
    for name in ("kafka.enable.auto.commit", "kafka.auto.offset.reset"):
        if name in options:
            yield Finding(name, "Spark's source refuses it", "Leave it out; the checkpoint keeps the offsets.")
