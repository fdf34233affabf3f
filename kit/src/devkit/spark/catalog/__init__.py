"""Three-level names on this machine: a catalog of folders, by Spark's own plug-in interface.

``ROOT/CATALOG/SCHEMA/TABLE`` is a Delta table. Every local session sees the same catalogs, in whichever process; there
is no metastore. A volume is a folder beneath ``volumes`` beside the root, which paths ``/Volumes/…`` mean. ``main`` is
the current catalog, as in a workspace with Unity Catalog. What is done with a name is left to Spark and Delta. The
classes are in Java, since that is what the plug-in interface takes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

SOURCES: Final = sorted(Path(__file__).parent.glob("*.java"))
ROOT_VARIABLE: Final = "SPARK_DEVKIT_TABLES"
CATALOG: Final = "main"
ROOT_SETTING: Final = "spark.devkit.tables"
VOLUMES_SETTING: Final = "spark.devkit.volumes"
EXTENSIONS: Final = "spark.sql.extensions"


def root() -> Path:
    """Return the folder of all catalogs: ``SPARK_DEVKIT_TABLES``, else ``data/tables`` beneath the current folder."""
    return Path(os.environ.get(ROOT_VARIABLE) or Path("data", "tables")).absolute()


def volumes() -> Path:
    """Return the folder of the volumes of every catalog, beside that of the tables."""
    return root().with_name("volumes")


def settings(extensions: str) -> dict[str, str]:
    """Return the settings that give a session the catalogs of a folder.

    Args:
        extensions: What ``spark.sql.extensions`` says already; ours comes last, so that it is asked first.
    """
    return {
        EXTENSIONS: f"{extensions},devkit.catalog.CatalogExtension",
        ROOT_SETTING: str(root()),
        VOLUMES_SETTING: str(volumes()),
        **dict.fromkeys((f"spark.sql.catalog.{name}" for name in (CATALOG, "system")), "devkit.catalog.FolderCatalog"),
        "spark.sql.defaultCatalog": CATALOG,
    }
