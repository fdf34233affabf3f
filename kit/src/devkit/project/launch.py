"""What starts the job elsewhere, from the same configuration file: a `spark-submit` line, and a job's declaration."""

from __future__ import annotations

import shlex
from pathlib import Path

from spark_utils.configuration.arguments import parse_arguments
from spark_utils.configuration.config_files import DEFAULT_CONFIG_FILE, find_config_file, read_config_file
from spark_utils.configuration.options import options_of
from spark_utils.configuration.secrets import parse_reference
from spark_utils.configuration.settings import StreamingConfig
from spark_utils.errors import ConfigurationError

HERE_ONLY = {"spark", "fast-start", "preview", "stop-after"}  # of a session that the job starts by itself
SCHEMA, OUTPUT = "${files.schema.path}", "${var.output}"


def given(file: Path | None) -> dict[str, str]:
    """Return the options that a configuration file gives, as text, without those that count on a laptop only.

    Raises:
        ConfigurationError: There is no such file, it is wrong, or it holds a secret: that would show in process lists
            and on a job's page.
    """
    file = file or find_config_file(Path.cwd())
    if file is None:
        raise ConfigurationError(f"there is no {DEFAULT_CONFIG_FILE} here or above", remedy="Name one by --config.")
    parse_arguments([], environ={}, config_file=file)
    entries = [entry for entry in read_config_file(file)[0] if entry.key not in HERE_ONLY]
    secrets = {option.name for option in options_of(StreamingConfig) if option.sensitive}
    for entry in entries:
        if entry.key in secrets and parse_reference(entry.value, origin=entry.origin) is None:
            raise ConfigurationError(
                f"{entry.key} is a plain secret, which would show in process lists and on the job's page",
                origin=entry.origin,
                remedy="Give a reference: {{secrets/SCOPE/KEY}}.",
            )
    return {entry.key: entry.value for entry in entries}


def spark_submit(job: Path, options: dict[str, str]) -> str:
    """Return a `spark-submit` line, quoted for a shell."""
    return shlex.join(["spark-submit", str(job), *(f"--{name}={value}" for name, value in options.items())])


def declaration(options: dict[str, str]) -> str:
    """Return a job as `devkit deploy` and bundles declare it, with the schema as a file of the workspace."""
    import yaml

    schema, text = Path(options["schema"]), options["schema"]
    is_file = bool(schema.suffix)
    parameters = {**options, "schema": SCHEMA if is_file else text, "output-path": OUTPUT}
    wheel = {
        "package_name": "spark-streaming-devkit",
        "entry_point": "streaming-job",
        "parameters": [f"--{name}={value}" for name, value in parameters.items()],
    }
    task = {"task_key": "stream", "python_wheel_task": wheel, "libraries": [{"whl": "${wheels.devkit.path}"}]}
    job = {"name": "${project}-${environment}-streaming", "max_concurrent_runs": 1, "tasks": [task]}
    resources = {
        "wheels": {"devkit": {"file": "dist/*.whl"}},
        **({"files": {"schema": {"file": text, "path": f"schemas/{schema.name}"}}} if is_file else {}),
        "jobs": {"streaming": job},
    }
    head = "# From the job's configuration. `output` is a variable of the environment; give the task its cluster.\n"
    return head + str(yaml.safe_dump({"resources": resources}, sort_keys=False, width=120)).rstrip()
