"""Auto Loader (`cloudFiles`) on this machine: Spark's own file source, by a rule that Spark calls while it analyses.

The rule answers ``format("cloudFiles")`` of classic sessions and of Spark Connect servers alike. Which options there
are, which are followed and which are refused is said in ``Options.java`` alone; pipelines read by the same rule. The
classes are in Java, since that is what Spark's extensions take.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

SOURCES: Final = sorted(Path(__file__).parent.glob("*.java"))
EXTENSION: Final = "devkit.autoloader.AutoLoader"
