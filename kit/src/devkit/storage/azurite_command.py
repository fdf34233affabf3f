"""``devkit azurite up``: a storage account on this machine that the job writes to by ``abfs://``, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from spark_utils.configuration.secrets import secrets_folder

SCOPE, KEY = "local-storage", "account-key"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `devkit azurite up [--folder F] [--port N]`."""
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    up = verbs.add_parser("up", help="serve until Ctrl-C")
    up.add_argument("--folder", type=Path, default=Path("data/azurite"), help="where its blobs are kept")
    up.add_argument("--port", type=int, default=10000, help="the port on 127.0.0.1")
    up.set_defaults(run=_up)


def _up(arguments: argparse.Namespace) -> int:
    from devkit import cache
    from devkit.storage.azurite import Azurite

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with Azurite(arguments.folder, port=arguments.port) as storage:
        cache.write_private(secrets_folder() / SCOPE / KEY, storage.account_key)
        print("The storage account runs until Ctrl-C. Give the job:")
        print(f"  --storage-account-name {storage.account} --storage-container-name data --output-path telemetry")
        print(
            f"  --storage-endpoint {storage.endpoint} --storage-account-key '{{{{secrets/{SCOPE}/{KEY}}}}}'", flush=True
        )
        stopped.wait()
    return 0
