"""What looks like a secret is recognised, and what is known to be one is masked."""

from __future__ import annotations

import logging

import pytest

from spark_utils.configuration.secrets import Secret
from spark_utils.errors import SparkUtilsError
from spark_utils.redaction import (
    RedactingFilter,
    looks_secret_name,
    looks_secret_text,
    mask_credentials,
    redact,
)

CANARY = "canary-7f3a+/=="


@pytest.mark.parametrize(
    "name",
    [
        "fs.azure.account.key.lake.dfs.core.windows.net",
        "fs.azure.sas.fixed.token.x",
        "storageSas",
        "fs.azure.account.oauth2.client.secret",
        "DB_PASSWORD",
        "pwd",
        "passphrase",
        "kafka.sasl.jaas.config",
        "serviceCredential",
        "connection-string",
        "ConnectionString",
        "fs.s3a.access.key",
        "sharedAccessKey",
        "private_key",
        "api-key",
        "bearerToken",
    ],
)
def test_a_name_tells_that_its_value_is_a_secret(name: str) -> None:
    assert looks_secret_name(name)


@pytest.mark.parametrize("name", ["kafka.sasl.mechanism", "spark.app.name", "partition_key", "disaster", "keyVault"])
def test_other_names_do_not(name: str) -> None:
    assert not looks_secret_name(name)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("SharedAccessKey=canary+/=;EntityPath=telemetry", "SharedAccessKey=***;EntityPath=telemetry"),
        ("AccountKey=canary;", "AccountKey=***;"),
        ("https://lake/x?sv=1&sig=canary%3D&se=2", "https://lake/x?sv=1&sig=***&se=2"),
        ("SharedAccessSignature sr=x&sig=canary&se=1", "SharedAccessSignature sr=x&sig=***&se=1"),
        ('required password="can\\"ary";', 'required password="***";'),
        ('{"client_secret": "canary canary"}', '{"client_secret": "***"}'),
        (r"{\"password\": \"canary\", x}", r"{\"password\": \"***\", x}"),
        ("--my-token canary --rows 3", "--my-token *** --rows 3"),
        ("dapi0123456789abcdef0123456789abcdef", "***"),
    ],
)
def test_a_credential_in_a_text_is_masked_and_what_stands_around_it_stays(text: str, masked: str) -> None:
    assert looks_secret_text(text)
    assert mask_credentials(text) == masked
    assert not looks_secret_text(masked)


@pytest.mark.parametrize(
    "text",
    [
        "token = {{secrets/scope/key}}",
        'password: "${secret.scope/key}"',
        "the secret 'key' of scope 'x' was not found",
        "the connection string is not usable: SharedAccessKey is missing",
    ],
)
def test_references_and_sentences_about_secrets_are_shown(text: str) -> None:
    assert not looks_secret_text(text)
    assert mask_credentials(text) == text


def test_a_value_that_cannot_be_revealed_is_skipped() -> None:
    malformed = Secret("{{secrets/x")
    with pytest.raises(SparkUtilsError):
        malformed.reveal()
    assert redact("nothing to see", [malformed]) == "nothing to see"


def test_the_mask_can_be_another() -> None:
    assert redact("a b", ["b"], mask="[REDACTED]") == "a [REDACTED]"


def test_redact_masks_every_value_the_longest_first() -> None:
    text = redact("key=abc; string=abc;def; other", [Secret("abc"), Secret("abc;def"), "other", ""])
    assert text == "key=***; string=***; ***"


def test_a_filter_masks_secrets_in_messages_arguments_and_tracebacks() -> None:
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Keep()
    handler.addFilter(RedactingFilter([Secret(CANARY)]))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.warning("connecting with %s", CANARY)
    try:
        int(CANARY)
    except ValueError:
        logger.exception("failed")
    assert len(lines) == 2
    assert "canary" not in "".join(lines)
    assert "ValueError" in lines[1]
