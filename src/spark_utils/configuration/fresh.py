"""`--fresh`: start anew, in an output beside the one that is there, which stays as it is."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spark_utils.errors import ConfigurationError

if TYPE_CHECKING:
    from spark_utils.configuration.settings import StreamingConfig

ORIGIN = "command line --fresh"


def with_fresh_output(config: StreamingConfig) -> StreamingConfig:
    """Ask for, and take, the first of `OUTPUT-2`, `OUTPUT-3`… that is free, with a checkpoint of its own.

    Nothing is asked where the output is not there yet.

    Raises:
        ConfigurationError: The output is no local folder, the checkpoint lies elsewhere, or nobody can answer.
        SystemExit: The answer was no.
    """
    from spark_utils.sinks.checkpoints import local_path  # here: it imports pyspark

    output = config.output
    old, is_remote = Path(output.path), local_path(output.path) is None
    new = next(path for n in range(2, sys.maxsize) if not (path := old.with_name(f"{old.name}-{n}")).exists())
    remedy = f"Give another --output-path{'' if is_remote else f', such as {new}'}."
    if is_remote:
        raise ConfigurationError(f"{output.path} is no folder of this machine", origin=ORIGIN, remedy=remedy)
    if not config.origins["checkpoint-path"].startswith("default"):
        remedy = f"{remedy[:-1]} and another --checkpoint-path."
        raise ConfigurationError("the checkpoint has a path of its own", origin=ORIGIN, remedy=remedy)
    if not old.exists():
        return config
    if not sys.stdin.isatty():
        raise ConfigurationError("nobody is there to be asked", origin=ORIGIN, remedy=remedy)
    if not input(f"{old} stays as it is. Start anew in {new}? [y/N] ").strip().lower().startswith("y"):
        raise SystemExit("nothing was started")
    sys.stderr.write(f"to go on with it later: --output-path {new}\n")
    return replace(
        config,
        output=replace(output, path=str(new), checkpoint_path=f"{new}/checkpoint"),
        origins={**config.origins, "output-path": ORIGIN, "checkpoint-path": f"default, from {ORIGIN}"},
    )
