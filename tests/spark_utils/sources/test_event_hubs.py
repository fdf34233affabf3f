"""From a connection string or an identity to Kafka options, and what the linter says of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_utils.configuration.secrets import HOME_VARIABLE, Secret
from spark_utils.configuration.values import StartingPosition
from spark_utils.errors import ConfigurationError, ConnectionStringError
from spark_utils.sources.event_hubs import (
    ServiceCredential,
    ServicePrincipal,
    jaas,
    kafka_options,
    parse_connection_string,
)

KEY = "canaryKey0+/abc=="
AZURE = f"Endpoint=sb://example.servicebus.windows.net/;SharedAccessKeyName=listen;SharedAccessKey={KEY};EntityPath=telemetry"
EMULATOR = AZURE.replace("example.servicebus.windows.net", "127.0.0.1:19092") + ";UseDevelopmentEmulator=true"
PRINCIPAL = ServicePrincipal("tenant-1", "client-1", Secret("canary-secret"))
LAPTOP: dict[str, str] = {}
DATABRICKS = {"DATABRICKS_RUNTIME_VERSION": "18.0"}


def options(text: str = AZURE, environ: Any = LAPTOP, **more: Any) -> Any:
    return kafka_options(parse_connection_string(text), environ=environ, **more)


def test_a_connection_string_of_azure_gives_microsofts_settings() -> None:
    found = dict(options())
    assert found == {
        "kafka.bootstrap.servers": "example.servicebus.windows.net:9093",
        "kafka.security.protocol": "SASL_SSL",
        "kafka.sasl.mechanism": "PLAIN",
        "kafka.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule required "
        f'username="$ConnectionString" password="{AZURE}";',
        "subscribe": "telemetry",
        "includeHeaders": "true",
        "failOnDataLoss": "true",
        "startingOffsets": "earliest",
        "kafka.request.timeout.ms": "60000",
        "kafka.session.timeout.ms": "30000",
        "kafka.metadata.max.age.ms": "180000",
        "kafka.connections.max.idle.ms": "180000",
        "kafka.fetch.max.wait.ms": "10",
    }


@given(st.permutations(AZURE.split(";")), st.booleans(), st.sampled_from(["", ";"]))
def test_parts_come_in_any_order_and_case(parts: list[str], lower: bool, end: str) -> None:
    text = ";".join(
        name.lower() + "=" + value if lower else name + "=" + value
        for name, _, value in (p.partition("=") for p in parts)
    )
    parsed = parse_connection_string(text + end)
    assert (parsed.host, parsed.hub, parsed.emulator) == ("example.servicebus.windows.net", "telemetry", False)
    assert parsed.parts == (Secret(KEY),)


def test_the_emulator_speaks_plain_text_on_its_own_port() -> None:
    found = options(EMULATOR)
    assert found["kafka.bootstrap.servers"] == "127.0.0.1:19092"
    assert found["kafka.security.protocol"] == "SASL_PLAINTEXT"
    assert options(EMULATOR.replace(":19092", ""))["kafka.bootstrap.servers"] == "127.0.0.1:9092"


def test_a_hub_of_this_machine_without_tls_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    for read in (
        lambda: options(EMULATOR.partition(";Use")[0]),
        lambda: kafka_options(PRINCIPAL, namespace="localhost:19093", hub="telemetry", environ=LAPTOP),
    ):
        with pytest.raises(ConfigurationError, match=r"no listener with TLS.*`devkit hub up --tls`"):
            read()


def test_a_port_in_an_azure_endpoint_is_not_the_kafka_port() -> None:
    assert options(AZURE.replace(".net/", ".net:5671/"))["kafka.bootstrap.servers"].endswith(":9093")


def test_class_names_are_shaded_on_databricks_only() -> None:
    assert options()["kafka.sasl.jaas.config"].startswith("org.apache.kafka.")
    assert options(environ=DATABRICKS)["kafka.sasl.jaas.config"].startswith("kafkashaded.org.apache.kafka.")


def test_a_signature_replaces_name_and_key() -> None:
    text = "Endpoint=sb://e.servicebus.windows.net/;SharedAccessSignature=SharedAccessSignature sr=a&sig=b;EntityPath=h"
    assert parse_connection_string(text).parts == (Secret("SharedAccessSignature sr=a&sig=b"),)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "Endpoint is missing"),
        ("canaryKey", "part 1 has no known name"),
        (AZURE.replace("Endpoint=", "EndPont="), "part 1 has no known name"),
        (AZURE.replace("sb://", "ftp://"), "Endpoint must have the form"),
        (AZURE.replace("sb://", "sb://canaryKey@"), "Endpoint must have the form"),
        (AZURE.replace(KEY, ""), "SharedAccessKey is empty"),
        (AZURE.replace(f"SharedAccessKey={KEY};", ""), "SharedAccessKey is missing"),
        (AZURE.replace("SharedAccessKeyName=listen;", ""), "SharedAccessKeyName is missing"),
        (AZURE + f";SharedAccessKey={KEY}", "SharedAccessKey is given twice"),
        (AZURE + ";UseDevelopmentEmulator=canaryKey", "UseDevelopmentEmulator must be true or false"),
        (AZURE.replace(KEY, "canary\nKey"), "a line break"),
    ],
)
def test_a_malformed_string_names_the_part_and_never_the_key(text: str, part: str) -> None:
    with pytest.raises(ConnectionStringError) as caught:
        parse_connection_string(text, origin="the environment variable X")
    assert part in str(caught.value)
    assert "the environment variable X" in str(caught.value)
    assert "canary" not in str(caught.value).replace("canaryKey@", "")


def test_a_string_without_a_hub_needs_its_name_and_one_with_another_hub_is_refused() -> None:
    without = AZURE.replace(";EntityPath=telemetry", "")
    assert options(without, hub="other")["subscribe"] == "other"
    with pytest.raises(ConnectionStringError, match="does not name an event hub"):
        options(without)
    with pytest.raises(ConnectionStringError, match="'telemetry', but --event-hubs-name says 'other'"):
        options(hub="other")


@pytest.mark.parametrize("name", ["a,b", "tele metry", "telemetry/consumergroups/x", "ü", "t" * 257])
def test_a_name_that_no_hub_has_is_refused(name: str) -> None:
    for text, hub in ((AZURE.replace("telemetry", name), None), (AZURE.replace(";EntityPath=telemetry", ""), name)):
        with pytest.raises(ConfigurationError, match="cannot be the name of an event hub"):
            options(text, hub=hub)


def read_jaas(line: str) -> dict[str, str]:
    """Read a line as Kafka's tokenizer (java.io.StreamTokenizer with quotes) does."""
    pairs = re.findall(r'(\w+)="((?:\\.|[^"\\])*)"', line)
    return {name: re.sub(r"\\(.)", r"\1", value) for name, value in pairs}


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_any_password_survives_the_jaas_line(password: str) -> None:
    assert read_jaas(jaas("module", password=password, other="x")) == {"password": password, "other": "x"}


def test_a_service_principal_asks_entra_for_a_token_of_the_namespace() -> None:
    found = kafka_options(PRINCIPAL, namespace="example", hub="telemetry", environ=LAPTOP)
    assert found["kafka.bootstrap.servers"] == "example.servicebus.windows.net:9093"
    assert found["kafka.sasl.mechanism"] == "OAUTHBEARER"
    assert (
        found["kafka.sasl.oauthbearer.token.endpoint.url"]
        == "https://login.microsoftonline.com/tenant-1/oauth2/v2.0/token"
    )
    assert found["kafka.sasl.login.callback.handler.class"] == (
        "org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerLoginCallbackHandler"
    )
    assert read_jaas(found["kafka.sasl.jaas.config"]) == {
        "clientId": "client-1",
        "clientSecret": "canary-secret",
        "scope": "https://example.servicebus.windows.net/.default",
    }


def test_a_service_principal_on_databricks_uses_the_shaded_classes() -> None:
    found = kafka_options(PRINCIPAL, namespace="example", hub="telemetry", environ=DATABRICKS)
    assert found["kafka.sasl.jaas.config"].startswith("kafkashaded.")
    assert found["kafka.sasl.login.callback.handler.class"].startswith("kafkashaded.")


def test_a_service_credential_brings_no_sasl_settings_and_exists_on_databricks_only() -> None:
    credential = ServiceCredential("telemetry-reader")
    found = kafka_options(credential, namespace="example", hub="telemetry", environ=DATABRICKS)
    assert found["databricks.serviceCredential"] == "telemetry-reader"
    assert not [name for name in found if "sasl" in name or "security" in name]
    with pytest.raises(ConfigurationError, match="on Databricks only"):
        kafka_options(credential, namespace="example", hub="telemetry", environ=LAPTOP)


@pytest.mark.parametrize("missing", ["namespace", "hub"])
def test_an_identity_needs_namespace_and_hub(missing: str) -> None:
    given_both: dict[str, Any] = {"namespace": "example", "hub": "telemetry"}
    with pytest.raises(ConfigurationError, match="is needed with a service principal"):
        kafka_options(PRINCIPAL, **{**given_both, missing: None}, environ=LAPTOP)


def test_a_consumer_group_is_a_prefix_and_never_a_fixed_group() -> None:
    found = options(consumer_group="my-team")
    assert found["groupIdPrefix"] == "my-team"
    assert "kafka.group.id" not in found


def test_the_bound_of_a_micro_batch_and_the_start_are_explicit() -> None:
    assert options(max_events_per_trigger=500)["maxOffsetsPerTrigger"] == "500"
    assert options(starting_position=StartingPosition.parse("latest"))["startingOffsets"] == "latest"


def test_the_repr_of_the_options_masks_the_credential() -> None:
    assert "canary" not in repr(options())
    assert "SASL_SSL" in repr(options())


@pytest.mark.parametrize("identity", [None, EMULATOR])
def test_the_time_outs_are_those_of_microsofts_table_and_lost_events_stop_the_query(identity: str | None) -> None:
    found = options(identity) if identity else options()
    assert int(found["kafka.request.timeout.ms"]) >= 60_000
    assert 6_000 <= int(found["kafka.session.timeout.ms"]) <= 300_000
    assert int(found["kafka.metadata.max.age.ms"]) < 240_000
    assert int(found["kafka.connections.max.idle.ms"]) < 240_000
    assert found["failOnDataLoss"] == "true"
    assert found["startingOffsets"] == "earliest"


PASTED = (
    "Endpoint=sb://example.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=canary=;EntityPath=telemetry"
)


@pytest.mark.parametrize(
    "text",
    [
        f'"{PASTED}"',
        f"'{PASTED}' ",
        f"\u201c{PASTED}\u201d",
        f"\ufeff{PASTED}\n",
        PASTED.replace("example", "exam\u200bple"),
        PASTED.replace("sb://example.servicebus.windows.net/", "https://example.servicebus.windows.net:443/"),
        PASTED.replace("sb://", "amqps://"),
    ],
)
def test_a_connection_string_is_taken_as_people_paste_it(text: str) -> None:
    found = parse_connection_string(text)
    assert (found.bootstrap, found.hub) == ("example.servicebus.windows.net:9093", "telemetry")
    assert found.text.reveal() == PASTED


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (PASTED.replace("net/", "net:99999/"), "invalid port: 99999"),
        (PASTED.replace("net/", "net:0/"), "invalid port: 0"),
        ("HostName=canary.azure-devices.net;SharedAccessKeyName=n;SharedAccessKey=canary", "that of an IoT Hub"),
        ("DefaultEndpointsProtocol=https;AccountName=canary;AccountKey=canary", "that of a storage account"),
    ],
)
def test_a_connection_string_of_something_else_is_refused_by_its_cause(text: str, cause: str) -> None:
    with pytest.raises(ConnectionStringError, match=cause) as caught:
        parse_connection_string(text)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "port"), [("localhost", 9092), ("localhost:5672", 9092), ("127.0.0.1:9555", 9555)]
)
def test_the_emulators_amqp_port_is_not_taken_for_that_of_kafka(endpoint: str, port: int) -> None:
    text = f"Endpoint=sb://{endpoint};SharedAccessKeyName=n;SharedAccessKey=k;UseDevelopmentEmulator=true;"
    assert parse_connection_string(text).bootstrap == f"{endpoint.partition(':')[0]}:{port}"


@pytest.mark.parametrize(
    "namespace",
    [
        "example",
        "example.servicebus.windows.net",
        "sb://example.servicebus.windows.net/",
        "https://example.servicebus.windows.net:443/",
        "example.servicebus.windows.net:5671",
        "'example\u200b'",
    ],
)
def test_a_namespace_is_taken_as_people_paste_it(namespace: str) -> None:
    found = kafka_options(PRINCIPAL, namespace=namespace, hub="telemetry", environ=LAPTOP)
    assert found["kafka.bootstrap.servers"] == "example.servicebus.windows.net:9093"
    assert read_jaas(found["kafka.sasl.jaas.config"])["scope"] == "https://example.servicebus.windows.net/.default"


@pytest.mark.parametrize(
    ("namespace", "told"), [("a b", "'a b' is not the name"), ("a.b.c:99999", "invalid port: 99999")]
)
def test_what_is_no_namespace_is_refused(namespace: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        kafka_options(PRINCIPAL, namespace=namespace, hub="telemetry", environ=LAPTOP)


@pytest.mark.parametrize(
    ("domain", "login"),
    [
        ("servicebus.usgovcloudapi.net", "login.microsoftonline.us"),
        ("servicebus.chinacloudapi.cn", "login.chinacloudapi.cn"),
        ("servicebus.windows.net", "login.microsoftonline.com"),
    ],
)
def test_the_token_endpoint_is_that_of_the_namespaces_cloud(domain: str, login: str) -> None:
    found = kafka_options(PRINCIPAL, namespace=f"example.{domain}", hub="telemetry", environ=LAPTOP)
    assert found["kafka.bootstrap.servers"] == f"example.{domain}:9093"
    assert found["kafka.sasl.oauthbearer.token.endpoint.url"] == f"https://{login}/tenant-1/oauth2/v2.0/token"
