"""What counts as a secret when a configuration is shown."""

from __future__ import annotations

import pytest

from spark_utils.configuration.show_config import ShownConfig, redacted


@pytest.mark.parametrize(
    "name",
    [
        "fs.azure.account.key.lake.dfs.core.windows.net",
        "spark.hadoop.fs.azure.account.key.x",
        "spark.hadoop.fs.azure.sas.fixed.token.x",
        "fs.azure.account.oauth2.client.secret",
        "spark.my.password",
        "kafka.sasl.jaas.config",
        "spark.databricks.serviceCredential",
        "my.connection-string",
        "spark.hadoop.fs.s3a.access.key",
    ],
)
def test_a_setting_that_sounds_secret_is_masked(name: str) -> None:
    assert redacted(name, "canary") == "***"


@pytest.mark.parametrize(
    "value", ["Endpoint=sb://x/;SharedAccessKey=canary", "https://x?sv=1&sig=canary", "AccountKey=canary;"]
)
def test_a_value_that_looks_secret_is_masked_whatever_its_name(value: str) -> None:
    assert redacted("spark.harmless", value) == "***"


@pytest.mark.parametrize("name", ["spark.app.name", "spark.sql.shuffle.partitions", "spark.sql.session.timeZone"])
def test_other_settings_show(name: str) -> None:
    assert redacted(name, "value") == "value"


def test_a_shown_configuration_reads_as_a_table_and_escapes_html() -> None:
    shown = ShownConfig((("a", "1 < 2"), ("spark.long.name", "x")))
    assert repr(shown).splitlines() == ["a                1 < 2", "spark.long.name  x"]
    assert "<td>1 &lt; 2</td>" in shown._repr_html_()
