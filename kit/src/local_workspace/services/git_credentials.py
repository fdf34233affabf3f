"""Git credentials: who signs in to a Git provider.

Source: https://docs.databricks.com/api/azure/workspace/gitcredentials
"""

from __future__ import annotations

from typing import Final

from databricks.sdk.service.workspace import CredentialInfo

from local_workspace.errors import already_exists, invalid
from local_workspace.server.routing import Request, route
from local_workspace.server.state import Service

PROVIDERS: Final = (
    "gitHub",
    "bitbucketCloud",
    "gitLab",
    "azureDevOpsServices",
    "gitHubEnterprise",
    "bitbucketServer",
    "gitLabEnterpriseEdition",
    "awsCodeCommit",
)
FORGETS: Final = "the token is not kept: repositories are cloned only from this machine"


class GitCredentials(Service):
    """Credentials by id, never with their token."""

    name = "git-credentials"

    def prepare(self) -> None:
        """Make the table."""
        self.credentials = self.table("credentials", CredentialInfo)

    @route("POST", "2.0/git-credentials", differs=FORGETS)
    def create(self, request: Request) -> object:
        """Keep a credential; a provider has one of each name."""
        credential = CredentialInfo(credential_id=0)
        self._fill(credential, request)
        credential.credential_id = self.state.number()
        self.credentials[str(credential.credential_id)] = credential
        return credential

    @route("GET", "2.0/git-credentials")
    def list_credentials(self, _request: Request) -> object:
        """Return all credentials; this listing has no pages."""
        return {"credentials": [*self.credentials.values()]}

    @route("GET", "2.0/git-credentials/<int:credential_id>")
    def get(self, request: Request) -> object:
        """Return a credential."""
        return self._credential(request)

    @route("PATCH", "2.0/git-credentials/<int:credential_id>", differs=FORGETS)
    def update(self, request: Request) -> object:
        """Change a credential."""
        self._fill(self._credential(request), request)
        return None

    @route("DELETE", "2.0/git-credentials/<int:credential_id>")
    def delete(self, request: Request) -> object:
        """Forget a credential."""
        del self.credentials[str(self._credential(request).credential_id)]
        return None

    def _fill(self, credential: CredentialInfo, request: Request) -> None:
        chosen, name = provider(request.required("git_provider")), request.get("name", credential.name)
        others = [each for each in self.credentials.values() if each.credential_id != credential.credential_id]
        if any((each.git_provider, each.name) == (chosen, name) for each in others):
            raise already_exists(f"A Git credential of the provider {chosen} with the name {name!r} already exists")
        credential.git_provider, credential.name = chosen, name
        credential.git_username = request.get("git_username", credential.git_username)
        credential.git_email = request.get("git_email", credential.git_email)
        asked = request.get("is_default_for_provider", credential.is_default_for_provider)
        same = [each for each in others if each.git_provider == chosen]
        credential.is_default_for_provider = bool(asked) or not same
        if asked:
            for each in same:
                each.is_default_for_provider = False

    def _credential(self, request: Request) -> CredentialInfo:
        number = str(request.path["credential_id"])
        return self.credentials.existing(number, f"Git credential with ID {number} could not be found")


def provider(name: object) -> str:
    """Return a Git provider's name as the service writes it.

    Raises:
        ApiError: 400 when no such name exists.
    """
    found = next((each for each in PROVIDERS if each.lower() == str(name).lower()), None)
    if found is None:
        raise invalid(f"Unknown Git provider {name!r}; known providers: {', '.join(PROVIDERS)}")
    return found
