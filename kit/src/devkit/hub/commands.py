"""``devkit hub``: the local event hub from the command line."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from devkit import cache
from devkit.hub.broker import DEFAULT_HUB, DEFAULT_PARTITIONS, LocalHub
from devkit.hub.client import EventSender, Sendable, list_hubs
from devkit.hub.generator import DEFAULT_START, Shares, generate
from devkit.hub.receiving import in_time, receive
from devkit.hub.recording import RECORDED_SUFFIX, read_events, recorded_line, write_events
from devkit.hub.sending import SendReport, open_sender, replay, send_paced
from devkit.hub.tls import CLIENT_ID
from spark_utils.configuration.arguments import parse_arguments
from spark_utils.configuration.secrets import Secret
from spark_utils.errors import ConfigurationError
from spark_utils.sources.event_hubs import ConnectionString, parse_connection_string

NOT_RUNNING = 3  # the exit status of `status`, as service managers have it
# What a job's configuration says, as it would for Azure.
TLS_CONFIGURATION = """with TLS at {server}, for a job's configuration:
  event-hubs-connection-string = {{{{secrets/local-hub/tls-connection-string}}}}
or, as an application with an identity:
  event-hubs-namespace = {server}
  event-hubs-name = {hub}
  event-hubs-tenant-id = local
  event-hubs-client-id = {client}
  event-hubs-client-secret = {{{{secrets/local-hub/client-secret}}}}"""


def connection_string_file() -> Path:
    """Where the local hub's connection string lies, for ``{{secrets/local-hub/connection-string}}``."""
    return cache.home() / "secrets" / "local-hub" / "connection-string"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs."""
    verbs = parser.add_subparsers(dest="hub_verb", required=True, metavar="VERB")

    def verb(name: str, run: Callable[[argparse.Namespace], int], summary: str) -> argparse.ArgumentParser:
        child = verbs.add_parser(name, help=summary, description=summary)
        child.set_defaults(run=run)
        return child

    _add_up(verb("up", run_up, "start the local event hub, or find it running, and create its hubs"))
    verb("down", run_down, "stop the local event hub; events are kept")
    status = verb("status", run_status, "show whether it runs, its hubs and its connection string")
    status.add_argument("--show-connection-string", action="store_true", help="print it whole, key and all")
    verb("reset", run_reset, "drop all hubs and events; the key and the port stay")
    _add_send(verb("send", run_send, "send events of a file, or generated ones, to the local or a real hub"))
    recorded = verb("record", run_record, "write the newest events of a hub to a file: bodies, keys, headers, times")
    recorded.add_argument("file", type=Path, metavar="FILE", help=f"*{RECORDED_SUFFIX}, which keeps every byte")
    recorded.add_argument("--events", type=int, default=1000, metavar="N", help="how many (default: %(default)s)")
    _add_target(recorded, "that of the job's configuration")
    job = "arguments of the job, after --, beside its configuration file"
    recorded.add_argument("arguments", nargs="*", metavar="-- ARGUMENTS", help=job)
    replayed = verb("replay", run_replay, "send recorded events to the local hub again, as far apart as they came")
    replayed.add_argument("file", type=Path, metavar="FILE", help=f"*{RECORDED_SUFFIX}")
    replayed.add_argument("--speed", type=float, default=1.0, metavar="X", help="so many times faster; inf: at once")
    replayed.add_argument("--hub", metavar="NAME", help=f"default: {DEFAULT_HUB}")
    generated = verb("generate", run_generate, "write generated events to a file")
    generated.add_argument("count", type=int, metavar="N", help="how many events")
    generated.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help=f"*{RECORDED_SUFFIX} keeps every byte, key and header; any other name is plain NDJSON",
    )
    generated.add_argument("--partitions", type=int, default=DEFAULT_PARTITIONS, help="default: %(default)s")
    _add_generator(generated)


def _add_up(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hub", action="append", metavar="NAME", help=f"event hub to create (default: {DEFAULT_HUB})")
    parser.add_argument("--partitions", type=int, default=DEFAULT_PARTITIONS, metavar="N", help="default: %(default)s")
    parser.add_argument("--port", type=int, metavar="PORT", help="default: the one it had, at first 19092")
    tls = "serve TLS too, for connection strings and for tokens, as Azure does (default: as before, at first not)"
    parser.add_argument("--tls", action=argparse.BooleanOptionalAction, help=tls)


def _add_send(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("file", type=Path, nargs="?", metavar="FILE", help="NDJSON, or recorded events")
    source.add_argument("--generate", type=int, metavar="N", help="send N generated events")
    source.add_argument("--forever", action="store_true", help="send generated events until Ctrl-C")
    parser.add_argument("--rate", type=float, metavar="EVENTS_PER_SECOND", help="default: as fast as possible")
    parser.add_argument("--seconds", type=float, metavar="S", help="stop after that time")
    _add_target(parser, f"that of the connection string, or {DEFAULT_HUB}")
    _add_generator(parser)


def _add_target(parser: argparse.ArgumentParser, hub: str) -> None:
    parser.add_argument("--hub", metavar="NAME", help=f"default: {hub}")
    parser.add_argument(
        "--connection-string",
        metavar="TEXT",
        help="of another hub, as a reference {{secrets/scope/key}}: a plain one shows in process lists",
    )


def _add_generator(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, help="the same seed gives the same bytes; default: another each time")
    parser.add_argument("--devices", type=int, default=100, metavar="N", help="default: %(default)s")
    for name, meaning in (
        ("malformed", "not JSON, truncated, NaN, …"),
        ("drifting", "with fields the schema does not know"),
        ("lossy", "with values that do not fit their type"),
        ("duplicate-keys", "with a key twice"),
    ):
        parser.add_argument(f"--{name}", type=float, default=0.0, metavar="SHARE", help=f"share {meaning}")


def run_up(arguments: argparse.Namespace) -> int:
    """Start the hub, create its event hubs, and write the connection string for the job."""
    hub = LocalHub.shared(port=arguments.port, tls=arguments.tls)
    began = time.monotonic()
    hub.start()
    names = arguments.hub or [DEFAULT_HUB]
    for name in names:
        partitions = hub.create_hub(name, partitions=arguments.partitions)
        other = "" if partitions == arguments.partitions else " (it was there before; `devkit hub reset` drops it)"
        print(f"hub {name}: {partitions} partitions{other}")
    cache.write_private(connection_string_file(), hub.connection_string(names[0]))
    if hub.tls_server:
        folder = connection_string_file().parent
        cache.write_private(folder / "tls-connection-string", hub.connection_string(names[0], tls=True))
        cache.write_private(folder / "client-secret", hub.client_secret)
    print(f"local event hub is up at {hub.bootstrap_server} ({time.monotonic() - began:.1f} s)")
    _print_connection_string(hub.connection_string(names[0]))
    _print_tls(hub, names[0])
    return 0


def run_down(_arguments: argparse.Namespace) -> int:
    """Stop the hub."""
    hub = LocalHub.shared()
    was_running = hub.status().running
    hub.stop()
    print("local event hub is down" if was_running else "local event hub was not running")
    return 0


def run_status(arguments: argparse.Namespace) -> int:
    """Show the hub."""
    hub = LocalHub.shared()
    status = hub.status()
    if not status.running:
        print("local event hub is down; start it with `devkit hub up`")
        return NOT_RUNNING
    memory = f", {status.memory / 2**20:.0f} MiB" if status.memory else ""
    print(f"local event hub is up at {hub.bootstrap_server}, for {status.uptime or 0:.0f} s, pid {status.pid}{memory}")
    for name, partitions in (status.hubs or {}).items():
        print(f"hub {name}: {partitions} partitions")
    text = next(iter(status.hubs or {}), None)
    _print_connection_string(hub.connection_string(text), whole=arguments.show_connection_string)
    _print_tls(hub, text or DEFAULT_HUB)
    print(f"log: {hub.log}")
    return 0


def run_reset(_arguments: argparse.Namespace) -> int:
    """Drop all event hubs and events; a running hub gets the hubs it had, empty."""
    hub = LocalHub.shared()
    hubs = hub.status().hubs or {}
    hub.reset()
    for name, partitions in hubs.items():
        hub.create_hub(name, partitions=partitions)
    print("local event hub is empty again" + (f" ({', '.join(hubs)})" if hubs else ""))
    return 0


def run_send(arguments: argparse.Namespace) -> int:
    """Send events and report how many of each kind."""
    connection = _target(arguments)
    sender = open_sender(connection, arguments.hub or connection.hub or DEFAULT_HUB)
    report = send_paced(
        sender, _events(arguments), rate=arguments.rate, seconds=arguments.seconds, progress=_progress()
    )
    _print_sent(report, sender.hub)
    return 0


def run_record(arguments: argparse.Namespace) -> int:
    """Write a sample of a hub to a file."""
    _require_recorded(arguments.file)
    _require_positive("events", arguments.events)
    if arguments.connection_string:
        connection, hub = _target(arguments), arguments.hub
    else:
        source = parse_arguments(arguments.arguments).source
        given, hub = source.authentication, arguments.hub or source.event_hubs_name
        if not isinstance(given, ConnectionString):
            raise ConfigurationError(
                "recording needs the connection string of a hub, and the job's configuration has none",
                remedy="Give one as a reference: --connection-string '{{secrets/scope/key}}'.",
            )
        connection = given
    name = hub or connection.hub or DEFAULT_HUB
    events = in_time(receive(connection.text.reveal(), name, newest=arguments.events))[-arguments.events :]
    arguments.file.parent.mkdir(parents=True, exist_ok=True)
    arguments.file.write_bytes(b"".join(map(recorded_line, events)))
    span = f", enqueued from {events[0].enqueued_time} to {events[-1].enqueued_time}" if events else ""
    print(f"recorded {len(events):,} events of {name} to {arguments.file}{span}")
    return 0


def run_replay(arguments: argparse.Namespace) -> int:
    """Send a recording to the local hub."""
    _require_recorded(arguments.file)
    _require_positive("speed", arguments.speed)
    text, name = _local_hub().text.reveal(), arguments.hub or DEFAULT_HUB
    partitions = list_hubs(text).get(name)
    if partitions is None:
        raise ConfigurationError(f"there is no event hub {name!r}", remedy=f"`devkit hub up --hub {name}` makes it.")
    events, sender = read_events(arguments.file), EventSender(text, name)
    _print_sent(replay(sender, events, partitions=partitions, speed=arguments.speed, progress=_progress()), name)
    return 0


def _require_positive(option: str, value: float) -> None:
    if not value > 0:
        raise ConfigurationError(f"invalid {option}: {value:g}", origin=f"--{option}", remedy="Give a number above 0.")


def _require_recorded(file: Path) -> None:
    if not file.name.endswith(RECORDED_SUFFIX):
        raise ConfigurationError(
            f"{file} is not named *{RECORDED_SUFFIX}, the format that keeps every byte, key, header and time",
            remedy="Name it so; plain NDJSON is sent by `devkit hub send`.",
        )


def run_generate(arguments: argparse.Namespace) -> int:
    """Write generated events to a file."""
    start, seed = _start_and_seed(arguments)
    events = generate(arguments.count, seed=seed, shares=_shares(arguments), devices=arguments.devices, start=start)
    counts = write_events(events, arguments.output, partitions=arguments.partitions, start=start)
    report = SendReport()
    report.kinds.update(counts)
    print(f"wrote {report.sent:,} events to {arguments.output}")
    _print_kinds(report.families())
    return 0


def _target(arguments: argparse.Namespace) -> ConnectionString:
    if arguments.connection_string:
        return parse_connection_string(Secret(arguments.connection_string, origin="--connection-string"))
    return _local_hub()


def _local_hub() -> ConnectionString:
    hub = LocalHub.shared()
    if not hub.status().running:
        raise ConfigurationError("the local event hub is not running", remedy="Start it with `devkit hub up`.")
    return parse_connection_string(hub.connection_string(None), origin="the local hub")


def _events(arguments: argparse.Namespace) -> Iterable[Sendable]:
    if arguments.file:
        return read_events(arguments.file)
    start, seed = _start_and_seed(arguments)
    return generate(
        None if arguments.forever else arguments.generate,
        seed=seed,
        shares=_shares(arguments),
        devices=arguments.devices,
        start=start,
    )


def _start_and_seed(arguments: argparse.Namespace) -> tuple[datetime, int]:
    """With a seed the events are the same for ever, their clock included; without, they are of now."""
    if arguments.seed is not None:
        return DEFAULT_START, arguments.seed
    return datetime.now(UTC), time.time_ns()


def _shares(arguments: argparse.Namespace) -> Shares:
    return Shares(arguments.malformed, arguments.drifting, arguments.lossy, arguments.duplicate_keys)


def _progress() -> Callable[[SendReport], None] | None:
    return _draw if sys.stderr.isatty() else None


def _print_sent(report: SendReport, hub: str) -> None:
    if sys.stderr.isatty():
        print(end="\r\x1b[K", file=sys.stderr, flush=True)  # in the place of what was drawn meanwhile
    print(f"sent {report.sent:,} events to {hub} in {report.seconds:.1f} s ({report.rate:,.0f}/s)")
    _print_kinds(report.families())


def _draw(report: SendReport) -> None:
    print(f"\rsent {report.sent:,} events ({report.rate:,.0f}/s)   ", end="", file=sys.stderr, flush=True)


def _print_kinds(families: dict[str, int]) -> None:
    total = sum(families.values())
    for family, count in families.items():
        print(f"  {family:<15} {count:>12,} {count / total:>7.2%}")


def _print_connection_string(text: str, *, whole: bool = False) -> None:
    if whole:
        print(text)
        return
    masked = text
    for secret in parse_connection_string(text).parts:
        masked = masked.replace(secret.reveal(), "***")
    print(f"connection string: {masked}")
    print(f"with its key: {connection_string_file()}, or `devkit hub status --show-connection-string`")


def _print_tls(hub: LocalHub, name: str) -> None:
    if server := hub.tls_server:
        print(TLS_CONFIGURATION.format(server=server, hub=name, client=CLIENT_ID))
