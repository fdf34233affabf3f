"""Random bodies in mass: each reader says what the reference says, on fresh seeds."""

from __future__ import annotations

import random
import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from spark_utils.parsing.arrow.reader import ArrowReader
from spark_utils.parsing.arrow.slow_rows import verdicts_array
from spark_utils.parsing.reference import Good, UnknownPolicy, compile_classifier
from tests.spark_utils.parsing import test_jvm_parse as parsing
from tests.spark_utils.parsing.hostile_bodies import LIMITS, SCHEMA, plain
from tests.spark_utils.parsing.random_bodies import EDITS, random_bodies

POLICIES: tuple[UnknownPolicy, ...] = ("keep", "count", "reject")
BODIES = 10_000  # in a batch, as Spark sends them
EDITED = (0.001, 0.01, 0.05, 0.2, 0.8)  # the share of bodies in a batch that are edited; the others are good
LONG_EXPONENTS = [b"e-99999999", b"E-999999999"]  # in a decimal column, Arrow's own reader ends the process


def test_a_million_edited_bodies_neither_end_a_process_nor_change_a_verdict() -> None:
    with ProcessPoolExecutor(max_workers=2, mp_context=get_context("spawn")) as processes:
        assert sum(processes.map(_read_and_compare, range(20))) == 1_000_000


def _read_and_compare(seed: int) -> int:
    """Read some batches by Arrow and by the reference, without Spark; return how many bodies these were."""
    choices, unknown = random.Random(seed), POLICIES[seed % len(POLICIES)]
    reader = ArrowReader(SCHEMA, LIMITS, unknown)
    judge = compile_classifier(SCHEMA, limits=LIMITS, unknown=unknown)
    made = random_bodies(SCHEMA, BODIES, seed)
    good = [body for body in made if isinstance(judge(body), Good)]
    for share in EDITED:
        bodies = [choices.choice(good) for _ in range(BODIES)]
        for place in choices.sample(range(BODIES), int(share * BODIES)):
            bodies[place] = _edited(choices.choice(made), choices)
        found = reader.verdicts(pa.array(bodies, pa.binary())).to_pylist()
        expected = verdicts_array(bodies, judge, SCHEMA, unknown).to_pylist()
        for body, row, verdict in zip(bodies, found, expected, strict=True):
            assert plain(row) == plain(verdict), body
    assert not reader.faults, "the reference was compared with itself"
    return len(EDITED) * BODIES


def _edited(body: bytes, choices: random.Random) -> bytes:
    ends = [match.end() for match in re.finditer(rb"[0-9](?=[\s\",}\]])", body)]
    if ends and choices.random() < 0.3:
        place = choices.choice(ends)
        return body[:place] + choices.choice(LONG_EXPONENTS) + body[place:]
    place = choices.randrange(len(body))
    return body[:place] + choices.choice(EDITS) + body[place + choices.randrange(3) :]


@pytest.mark.parametrize("seed", range(1_000, 1_015))
def test_the_reader_in_java_gets_random_bodies_right(spark: SparkSession, seed: int) -> None:
    policy = POLICIES[seed % len(POLICIES)]
    parsing.test_random_bodies_get_the_reference_s_verdicts_and_values(spark, "jvm", policy, seed)
