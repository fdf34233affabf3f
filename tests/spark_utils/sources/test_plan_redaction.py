"""The texts that Spark makes of a Kafka stream's plan do not show its password. No broker is needed to see that."""

from typing import Any

import pyspark
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from spark_utils.configuration.secrets import Secret
from spark_utils.configuration.settings import SourceOptions
from spark_utils.sources.plan_redaction import without_unredacted_options
from spark_utils.sources.read_stream import read_stream

JAAS = (
    'org.apache.kafka.common.security.plain.PlainLoginModule required username="$ConnectionString" '
    'password="Endpoint=sb://h/;SharedAccessKeyName=Root;SharedAccessKey=c4n4ry=";'
)


@pytest.fixture
def stream(spark: SparkSession) -> Any:
    options = {"kafka.bootstrap.servers": "127.0.0.1:1", "subscribe": "t", "kafka.sasl.jaas.config": JAAS}
    return spark.readStream.format("kafka").options(**options).load()


def error_of_a_misspelt_column(frame: DataFrame) -> Any:
    with pytest.raises(AnalysisException) as raised:
        frame.select("misspelt")
    return str(raised.value)


def test_a_misspelt_column_does_not_show_the_password(stream: DataFrame) -> None:
    shown_by_spark = "c4n4ry" in error_of_a_misspelt_column(stream)
    assert shown_by_spark == (pyspark.__version__ < "4.2"), "what Spark does by itself has changed"
    assert "c4n4ry" not in error_of_a_misspelt_column(without_unredacted_options(stream))


def test_the_extended_plan_does_not_show_the_password(
    each_spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=R;SharedAccessKey=c4n4ry=;EntityPath=t"
    source = SourceOptions(event_hubs_connection_string=Secret(f"{connection};UseDevelopmentEmulator=true"))
    read_stream(each_spark, source).selectExpr("CAST(body AS STRING)").explain(extended=True)
    shown = capsys.readouterr().out

    assert "kafka.sasl.jaas.config" in shown
    assert "c4n4ry" not in shown


def test_the_frame_is_the_same_stream_otherwise(stream: DataFrame) -> None:
    redacted = without_unredacted_options(stream)

    assert redacted.isStreaming
    assert redacted.schema == stream.schema


def test_a_frame_without_such_a_relation_is_returned_as_it_is(spark: SparkSession) -> None:
    frame = spark.range(1)

    assert without_unredacted_options(frame) is frame
