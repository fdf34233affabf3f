"""The service principal's options, read by the real Kafka client: it asks for a token as Microsoft Entra expects."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]  # py4j ships no types
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from spark_utils.configuration.secrets import Secret
from spark_utils.sources.event_hubs import ServicePrincipal, kafka_options

CLIENT_SECRET = 'canary"\\ ~;=+/x'


@dataclass
class TokenEndpoint:
    """What was asked of a token endpoint that refuses everyone."""

    url: str
    requests: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)


@pytest.fixture
def token_endpoint() -> Iterator[TokenEndpoint]:
    class Refuse(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            endpoint.requests.append((self.headers["Authorization"], parse_qs(body)))
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        endpoint = TokenEndpoint(f"http://127.0.0.1:{server.server_port}/token")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield endpoint
        server.shutdown()
        thread.join()


def test_the_client_sends_id_secret_and_scope_and_a_refusal_shows_no_secret(
    spark: SparkSession, token_endpoint: TokenEndpoint, capfd: pytest.CaptureFixture[str]
) -> None:
    principal = ServicePrincipal("tenant", "client-1", Secret(CLIENT_SECRET), token_endpoint.url)
    options = kafka_options(principal, namespace="example", hub="telemetry", environ={})
    options["kafka.bootstrap.servers"] = "127.0.0.1:1"  # the client wants a host that it can resolve; it logs in first
    with pytest.raises((PySparkException, Py4JJavaError)) as caught:
        spark.read.format("kafka").options(**options).load().collect()
    authorization, form = token_endpoint.requests[0]
    assert base64.b64decode(authorization.removeprefix("Basic ")).decode() == f"client-1:{CLIENT_SECRET}"
    assert form == {
        "grant_type": ["client_credentials"],
        "scope": ["https://example.servicebus.windows.net/.default"],
    }
    shown = str(caught.value) + "".join(capfd.readouterr())
    assert "401" in shown
    assert "canary" not in shown
