"""The local hub: a real broker that is found again, survives its parent, and refuses a wrong key."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devkit import processes
from devkit.hub import client
from devkit.hub.broker import LocalHub
from devkit.hub.generator import generate
from devkit.hub.settings import HubState
from devkit.processes import free_port
from devkit.testing import EventHub
from spark_utils.errors import RuntimeSetupError

START_AND_DIE = """
import os, signal, sys
from pathlib import Path
from devkit.hub.broker import LocalHub
hub = LocalHub(Path(sys.argv[1]))
hub.start()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_events_come_back_as_they_were_sent(event_hub: EventHub) -> None:
    bodies = [b'{"a": 1}', b"", None, b"\xff\x00"]
    assert event_hub.send(bodies, partition=1, key=b"k", headers=[("kind", b"clean"), ("none", None)]) == 4
    received = event_hub.receive()
    assert [event.body for event in received] == bodies
    assert [event.offset for event in received] == [0, 1, 2, 3]
    assert {(event.partition, event.key) for event in received} == {(1, b"k")}
    assert received[0].headers == (("kind", b"clean"), ("none", None))


def test_a_key_always_goes_to_the_same_partition(event_hub: EventHub) -> None:
    event_hub.send_events(generate(500))
    placed = {(event.key, event.partition) for event in event_hub.receive()}
    assert len(placed) == len({key for key, _ in placed})
    assert {partition for _, partition in placed} == {0, 1}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text, key: text.replace(key, key[::-1]),
        lambda text, key: text.replace(key, key + "="),
        lambda text, _key: text.replace("RootManageSharedAccessKey", "SomeoneElse"),
    ],
    ids=["other key", "longer key", "other key name"],
)
def test_the_broker_refuses_a_wrong_key(event_hub: EventHub, local_hub: LocalHub, spoil) -> None:  # type: ignore[no-untyped-def]  # parametrized
    wrong = spoil(event_hub.connection_string, key_of(local_hub))
    assert wrong != event_hub.connection_string
    assert not client.answers(wrong)
    with pytest.raises(RuntimeSetupError, match="key was refused") as caught:
        client.send(wrong, generate(1))
    assert key_of(local_hub) not in str(caught.value)
    assert event_hub.receive() == []


def test_the_broker_refuses_clients_without_a_connection_string(local_hub: LocalHub) -> None:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    plain = AdminClient({"bootstrap.servers": local_hub.bootstrap_server, "log_level": 0})
    with pytest.raises(KafkaException):
        plain.list_topics(timeout=2)


def test_the_key_counts_and_not_the_hub_that_the_connection_string_names(
    event_hub: EventHub, local_hub: LocalHub
) -> None:
    for text in (local_hub.connection_string(), local_hub.connection_string("another")):
        assert client.send(text, generate(1), hub=event_hub.name) == 1


def test_an_event_over_the_size_limit_is_refused(event_hub: EventHub) -> None:
    with pytest.raises(RuntimeSetupError, match="too large"):
        event_hub.send([b"x" * 1_100_000])
    assert event_hub.send([b"x" * 1_000_000]) == 1


def test_a_broker_that_stands_still_is_told_and_one_that_goes_on_gets_each_event_once(tmp_path: Path) -> None:
    with LocalHub(tmp_path / "hub") as hub:
        hub.create_hub("telemetry", partitions=1)
        pid = hub.status().pid
        assert pid is not None
        sender = client.EventSender(hub.connection_string("telemetry"), stall_seconds=1)
        try:
            os.kill(pid, signal.SIGSTOP)
            sender.send(b"lost")
            with pytest.raises(RuntimeSetupError, match="nothing was acknowledged for 1 s"):
                sender.flush()
        finally:
            os.kill(pid, signal.SIGCONT)
        client.send(hub.connection_string("telemetry"), generate(100))
        assert len(received(hub)) in (100, 101)  # what was given up may have been on its way


def test_creating_a_hub_again_leaves_its_events_and_partitions(local_hub: LocalHub, event_hub: EventHub) -> None:
    event_hub.send([b"{}"])
    assert local_hub.create_hub(event_hub.name, partitions=7) == 2
    assert len(event_hub.receive()) == 1


def test_a_hub_name_that_kafka_refuses_is_one_readable_error(local_hub: LocalHub) -> None:
    with pytest.raises(RuntimeSetupError, match="'no/such name' cannot be created"):
        local_hub.create_hub("no/such name")


def test_the_key_is_in_files_of_the_owner_only_and_in_no_process_list(local_hub: LocalHub) -> None:
    key = key_of(local_hub)
    holders = [path for path in local_hub.folder.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]
    assert {path.name for path in holders} == {"state.json", "server.properties"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in holders)
    shown = subprocess.run(["ps", "axwweo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(local_hub.folder) in shown
    assert key not in shown


@pytest.mark.slow
def test_restart_keeps_port_key_and_events(tmp_path: Path) -> None:
    with LocalHub(tmp_path / "a hub") as hub:  # a folder with a space, as home folders may have
        before = hub.connection_string("telemetry")
        hub.create_hub("telemetry", partitions=1)
        client.send(before, generate(100))
        hub.restart()
        assert hub.connection_string("telemetry") == before
        assert len(received(hub)) == 100
        hub.kill()
        assert not hub.status().running
        hub.start()
        assert len(received(hub)) == 100
        hub.reset()
        assert hub.status().hubs == {}
        assert hub.connection_string("telemetry") == before
    assert not hub.status().running
    assert not client.answers(before)


@pytest.fixture(scope="module")
def orphaned_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    """A hub started by three processes at once, each of which was killed as soon as it was up."""
    hub = LocalHub(tmp_path_factory.mktemp("orphaned"))
    command = [sys.executable, "-c", START_AND_DIE, str(hub.folder)]
    try:
        with ThreadPoolExecutor(3) as pool:
            done = list(pool.map(lambda _: subprocess.run(command, capture_output=True, check=False), range(3)))
        assert [process.returncode for process in done] == [-signal.SIGKILL] * 3, [process.stderr for process in done]
        yield hub
    finally:
        hub.stop()


def test_the_broker_outlives_a_parent_that_is_killed(orphaned_hub: LocalHub) -> None:
    assert client.answers(orphaned_hub.connection_string())
    pid = orphaned_hub.status().pid
    assert pid is not None
    assert os.getsid(pid) == pid  # a session of its own: no signal of the parent's terminal reaches it
    orphaned_hub.start()
    assert orphaned_hub.status().pid == pid


def test_concurrent_starts_give_one_broker(orphaned_hub: LocalHub) -> None:
    listed = subprocess.run(["ps", "axwwo", "args"], capture_output=True, text=True, check=True).stdout
    assert sum(str(orphaned_hub.folder) in line and "kafka.Kafka" in line for line in listed.splitlines()) == 1


def test_a_busy_port_is_a_clear_error(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(RuntimeSetupError, match=f"cannot bind port {port}.*--port"):
            LocalHub(tmp_path, port=port).start()
    assert not LocalHub(tmp_path).status().running


def test_a_running_hub_is_not_moved_to_another_port(local_hub: LocalHub) -> None:
    with pytest.raises(RuntimeSetupError, match="already running"):
        LocalHub(local_hub.folder, port=free_port()).start()


def test_a_process_id_that_another_program_uses_now_is_not_taken_for_the_broker(tmp_path: Path) -> None:
    state = HubState.create(free_port())
    state.pid = os.getpid()
    state.save(tmp_path / "state.json")
    hub = LocalHub(tmp_path)
    assert not hub.status().running
    hub.stop()  # must not end this very process
    assert processes.is_running(os.getpid())


def test_a_damaged_state_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(RuntimeSetupError, match=r"state\.json.*Delete the file"):
        LocalHub(tmp_path).status()


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    hub = LocalHub(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "meta.properties").write_text("version=1\nnode.id=7\n")
    with pytest.raises(RuntimeSetupError, match=r"ended while it started.*broker\.log.*reset"):
        hub.start()
    hub.reset()
    hub.start()
    hub.stop()


def test_a_hub_that_never_was_has_no_connection_string(tmp_path: Path) -> None:
    with pytest.raises(RuntimeSetupError, match="no local hub yet"):
        LocalHub(tmp_path).connection_string()


def key_of(hub: LocalHub) -> str:
    state = HubState.load(hub.folder / "state.json")
    assert state is not None
    return state.key


def received(hub: LocalHub) -> list[object]:
    return list(EventHub("telemetry", hub.connection_string("telemetry"), 1).receive())
