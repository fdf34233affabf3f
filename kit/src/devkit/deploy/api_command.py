"""``devkit api METHOD PATH [JSON]``: a free-form call of the REST API, signed in as a deployment is."""

from __future__ import annotations

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from devkit.deploy.commands import add_workspace_arguments

    parser.add_argument("method", type=str.upper, choices=("GET", "POST", "PUT", "PATCH", "DELETE"))
    parser.add_argument("path", metavar="PATH", help="such as /api/2.2/jobs/list")
    parser.add_argument("json", nargs="?", metavar="JSON", help="the body; of a GET the query")
    add_workspace_arguments(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from databricks.sdk.core import DatabricksError

    from devkit.deploy.declaration.loading import workspace_settings
    from devkit.deploy.errors import DeploymentError
    from devkit.deploy.workspace.sign_in import sign_in

    try:
        body = json.loads(arguments.json) if arguments.json else None
    except ValueError as error:
        raise DeploymentError(f"the body is not JSON: {error}", origin="JSON") from None
    settings = workspace_settings(arguments.environment, arguments.folder)
    given = {"profile": arguments.profile, "proxy": arguments.proxy}
    client = sign_in({**settings, **{name: value for name, value in given.items() if value}})
    query, sent = (body, None) if arguments.method == "GET" else (None, body)
    try:
        answer = client.api_client.do(arguments.method, arguments.path, query=query, body=sent)
    except DatabricksError as error:
        raise DeploymentError(f"{arguments.method} {arguments.path} was refused: {error.error_code}: {error}") from None
    print(json.dumps(answer, indent=2, ensure_ascii=False, default=str))
    return 0
