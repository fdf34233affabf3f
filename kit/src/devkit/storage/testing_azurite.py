"""The pytest plug-in with a local storage account: ``pytest_plugins = ["devkit.storage.testing_azurite"]``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devkit.storage.azurite import Azurite


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """A storage account with a random key, on a free port; started when the first test asks for it."""
    with Azurite(tmp_path_factory.mktemp("azurite")) as storage:
        yield storage
