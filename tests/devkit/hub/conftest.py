"""A cache folder of its own for tests of the shared hub, with the jars that are there already."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devkit import cache
from devkit.hub import kafka_java


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    kafka_java.prepare()
    home = tmp_path_factory.mktemp("home")
    for name in ("jars", "hub-prepared"):
        (home / name).symlink_to(cache.home() / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(cache.HOME_VARIABLE, str(home))
        yield home
