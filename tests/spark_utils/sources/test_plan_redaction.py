"""Whatever Spark says of a hub's stream, the hub's password is not in it. No broker is needed to see that."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_utils import StreamFailedError, preview_stream
from spark_utils.configuration.secrets import Secret
from spark_utils.configuration.settings import SourceOptions
from spark_utils.session import is_connect, log_file
from spark_utils.sources.read_stream import read_stream

# No other test may say this word: what they log is in the same file.
PASSWORD = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=R;SharedAccessKey=ch4ff1nch="
HUB = SourceOptions(event_hubs_connection_string=Secret(f"{PASSWORD};EntityPath=t;UseDevelopmentEmulator=true"))
SETTING = "spark.sql.redaction.string.regex"


@pytest.fixture
def log(each_spark: SparkSession, request: pytest.FixtureRequest) -> Path:
    """Spark's log, of this process or of the Spark Connect server; it is made with its first line."""
    found = request.getfixturevalue("connect_server").log if is_connect(each_spark) else log_file(each_spark)
    assert found is not None
    found.touch()
    return Path(found)


def test_no_error_of_an_analysis_shows_the_password(each_spark: SparkSession, log: Path) -> None:
    with pytest.raises(AnalysisException) as raised:
        read_stream(each_spark, HUB).select("misspelt").schema  # noqa: B018 - Spark Connect analyses when it is asked
    assert "misspelt" in str(raised.value)
    assert "ch4ff1nch" not in str(raised.value) + log.read_text()


def test_the_error_of_a_preview_does_not_show_the_password(each_spark: SparkSession, log: Path) -> None:
    with pytest.raises(StreamFailedError) as raised:
        preview_stream(read_stream(each_spark, HUB).orderBy("offset"), timeout=5)
    assert "ch4ff1nch" not in "".join(traceback.format_exception(raised.value)) + log.read_text()


@pytest.mark.parametrize("mode", ["simple", "extended", "formatted"])
def test_no_plan_shows_the_password(each_spark: SparkSession, mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    read_stream(each_spark, HUB).selectExpr("CAST(body AS STRING)").explain(mode=mode)
    shown = capsys.readouterr().out
    assert "kafka" in shown.lower()
    assert "ch4ff1nch" not in shown


def test_where_a_plan_tells_how_to_sign_in_all_of_it_is_masked_and_so_is_what_the_user_chose(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, before = spark._jsparkSession.sessionState().conf(), spark.conf.get(SETTING)
    spark.conf.unset(SETTING)
    settings.setConfString("spark.redaction.string.regex", "ch0sen")  # as `--conf` of spark-submit
    try:
        read_stream(spark, HUB)
        jaas = 'x.PlainLoginModule required username="u" password="ch4ff1nch\\"tail";'
        spark.range(1).select(F.lit(jaas), F.lit("ch0sen")).explain()
    finally:
        settings.unsetConf("spark.redaction.string.regex")
        spark.conf.set(SETTING, before)
    shown = capsys.readouterr().out
    assert "PlainLoginModule required" in shown
    assert not [text for text in ("ch4ff1nch", "tail", "ch0sen") if text in shown]
