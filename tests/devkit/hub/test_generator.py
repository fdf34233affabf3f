"""The telemetry generator: repeatable, true to its schema, and honest about every fault."""

import json
from collections import Counter
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from devkit.hub.faults import FAULTS, encode
from devkit.hub.generator import CLEAN, Event, Shares, generate
from devkit.hub.recording import read_events, recorded_line, write_events
from spark_utils.errors import ConfigurationError

SCHEMA = json.loads(Path("configuration/schemas/telemetry.json").read_text(encoding="utf-8"))
ALL_FAULTS = Shares(malformed=0.3, drifting=0.2, lossy=0.2, duplicate_keys=0.2)


def strict_loads(body: bytes) -> object:
    """Load JSON as a strict reader does: no NaN, no key twice, UTF-8 only."""

    def refuse(token: str) -> object:
        raise ValueError(token)

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise ValueError("duplicate key")
        return dict(pairs)

    return json.loads(body.decode(), parse_constant=refuse, object_pairs_hook=unique)


def fits_the_schema(body: bytes) -> bool:
    document = strict_loads(body)
    if not Draft202012Validator(SCHEMA).is_valid(document):
        return False
    assert isinstance(document, dict)
    battery, cost = document.get("battery_percent"), document.get("energy_cost")
    return (
        abs(battery or 0) < 2**31
        and abs(document["sequence"]) < 2**63
        and (cost is None or (Decimal(str(cost)) == round(Decimal(str(cost)), 2) and abs(cost) < 10**8))
        and not document["recorded_at"].startswith("2026-02-30")
    )


@pytest.fixture(scope="module")
def mixed() -> list[Event]:
    return list(generate(5_000, seed=7, shares=ALL_FAULTS))


def test_the_same_seed_gives_the_same_bytes(mixed: list[Event]) -> None:
    assert list(generate(5_000, seed=7, shares=ALL_FAULTS)) == mixed


def test_another_seed_gives_other_bytes(mixed: list[Event]) -> None:
    assert list(generate(5_000, seed=8, shares=ALL_FAULTS)) != mixed


def test_a_longer_run_starts_with_the_shorter_one(mixed: list[Event]) -> None:
    assert list(islice(generate(None, seed=7, shares=ALL_FAULTS), 5_000)) == mixed


def test_without_shares_every_event_is_clean_and_fits_the_schema() -> None:
    events = list(generate(1_000))
    assert {event.kind for event in events} == {CLEAN}
    assert all(fits_the_schema(event.body) for event in events)


def test_each_family_has_about_the_share_asked_for(mixed: list[Event]) -> None:
    families = Counter(event.kind.partition(":")[0] for event in mixed)
    shares = {"malformed": 0.3, "drifting": 0.2, "lossy": 0.2, "duplicate-keys": 0.2, CLEAN: 0.1}
    for family, share in shares.items():
        assert families[family] / len(mixed) == pytest.approx(share, abs=0.03)


def test_every_fault_occurs(mixed: list[Event]) -> None:
    every = {f"{family}:{fault}" for family, faults in FAULTS.items() for fault in faults}
    assert {event.kind for event in mixed} == every | {CLEAN}


def test_a_strict_reader_accepts_exactly_the_good_events(mixed: list[Event]) -> None:
    for event in mixed:
        try:
            accepted = fits_the_schema(event.body)
        except ValueError:
            accepted = False
        assert accepted == event.is_good, (event.kind, event.body)


def test_drifting_events_have_a_field_that_the_schema_does_not_name(mixed: list[Event]) -> None:
    closed = json.loads(json.dumps(SCHEMA))

    def close(node: dict[str, object]) -> None:
        properties = node.get("properties")
        if isinstance(properties, dict):
            node["additionalProperties"] = False
            for child in properties.values():
                close(child)
        if isinstance(node.get("items"), dict):
            close(node["items"])  # type: ignore[arg-type]  # narrowed by the line above

    close(closed)
    validator = Draft202012Validator(closed)
    for event in mixed:
        if event.is_good:
            assert validator.is_valid(json.loads(event.body)) == (event.kind == CLEAN), event.kind


def test_a_fault_does_not_leak_into_the_next_event_of_its_device() -> None:
    shares = Shares(drifting=0.5, lossy=0.2)
    clean = [event for event in generate(2_000, shares=shares, devices=1) if event.kind == CLEAN]
    assert all(fits_the_schema(event.body) and b"colour" not in event.body for event in clean)


def test_nullable_fields_are_sometimes_null_and_sometimes_missing() -> None:
    documents = [json.loads(event.body) for event in generate(2_000)]
    assert {document["battery_percent"] is None for document in documents} == {True, False}
    assert {"online" in document for document in documents} == {True, False}
    assert {"altitude" in document["location"] for document in documents} == {True, False}
    assert {bool(document["readings"]) for document in documents} == {True, False}
    assert {type(document["tags"]) for document in documents} == {dict, type(None)}


def test_the_key_is_the_device_and_a_device_counts_up() -> None:
    last: dict[bytes, int] = {}
    for event in generate(1_000, devices=5):
        document = json.loads(event.body)
        assert event.key == document["device"]["id"].encode()
        assert document["sequence"] == last.get(event.key, 0) + 1
        last[event.key] = document["sequence"]
    assert len(last) == 5


def test_the_kind_travels_in_a_header(mixed: list[Event]) -> None:
    assert all(event.headers == (("kind", event.kind.encode()),) for event in mixed)


@pytest.mark.parametrize("wrong", [{"lossy": -0.1}, {"lossy": 0.6, "malformed": 0.6}, {"drifting": float("nan")}])
def test_shares_that_do_not_fit_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="shares of faults"):
        Shares(**wrong)


def test_recorded_events_keep_every_byte_and_position(mixed: list[Event], tmp_path: Path) -> None:
    path = tmp_path / "mixed.recorded.jsonl"
    counts = write_events(mixed, path, partitions=3)
    back = list(read_events(path))
    assert [(event.key, event.body, event.headers) for event in mixed] == [
        (event.key, event.body, event.headers) for event in back
    ]
    assert counts == Counter(event.kind for event in mixed)
    assert b"".join(recorded_line(event) for event in back) == path.read_bytes()
    for partition in range(3):
        offsets = [event.offset for event in back if event.partition == partition]
        assert offsets == list(range(len(offsets)))
    partitions_of_keys = {(event.key, event.partition) for event in back}
    assert len(partitions_of_keys) == len({event.key for event in back})


def test_plain_ndjson_is_one_body_a_line(tmp_path: Path) -> None:
    events = list(generate(50))
    path = tmp_path / "clean.ndjson"
    write_events(events, path)
    assert path.read_bytes().splitlines() == [event.body for event in events]
    assert [event.body for event in read_events(path)] == [event.body for event in events]


def test_plain_ndjson_refuses_what_it_cannot_hold(mixed: list[Event], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"malformed:empty.*recorded\.jsonl"):
        write_events(mixed, tmp_path / "mixed.ndjson")


def test_a_line_that_is_no_recorded_event_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wrong.recorded.jsonl"
    path.write_bytes(encode({"body": "{}"}) + b"\nno json\n")
    with pytest.raises(ConfigurationError, match=r"wrong.recorded.jsonl line 2"):
        list(read_events(path))
