"""The local hub's second listener: SASL_SSL, for connection strings and for tokens of applications, as in Azure.

What its clients need, `spark_utils.sources.local_hub` finds beside the hub's other files.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from devkit import cache
from devkit.processes import LOOPBACK
from spark_utils.sources.local_hub import CERTIFICATE, TOKEN_ENDPOINT

CLIENT_ID = "local-hub"
VALID_DAYS = 3650
_KEY = "tls-key.pem"
_JAAS = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;"


def tls_properties(folder: Path, *, token_port: int, client_secret: str) -> dict[str, str]:
    """Return the broker's properties for the listener, with its key and certificate, made once, in the hub's folder."""
    if not (folder / _KEY).exists():
        _write_certificate(folder)
    cache.write_atomically(folder / TOKEN_ENDPOINT, f"http://{LOOPBACK}:{token_port}")
    prefix = "listener.name.tls."
    return {
        f"{prefix}sasl.enabled.mechanisms": "PLAIN,OAUTHBEARER",
        f"{prefix}ssl.keystore.type": "PEM",
        f"{prefix}ssl.keystore.location": str(folder / _KEY),
        f"{prefix}oauthbearer.sasl.jaas.config": _JAAS,
        f"{prefix}oauthbearer.sasl.server.callback.handler.class": "devkit.hub.ClientCredentials",
        "devkit.client.id": CLIENT_ID,
        "devkit.client.secret": client_secret,
        "devkit.token.port": str(token_port),
    }


def _write_certificate(folder: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local event hub")])
    hosts = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address(LOOPBACK))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(hosts, critical=False)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(Encoding.PEM).decode()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    cache.write_atomically(folder / CERTIFICATE, public)
    cache.write_private(folder / _KEY, private + public)
