"""Personal access tokens: each opens this workspace until it expires or is deleted.

Sources: https://docs.databricks.com/api/azure/workspace/tokens and …/tokenmanagement
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Final

from databricks.sdk.service.settings import TokenInfo

from local_workspace.errors import invalid
from local_workspace.server.routing import Request, route
from local_workspace.server.state import Service

PUBLIC: Final = ("token_id", "creation_time", "expiry_time", "comment", "scopes")
SAME_USER: Final = "every token is the one user's, with all rights; scopes are kept, never enforced"
NEVER: Final = -1


class Tokens(Service):
    """What is known of tokens, by the hash that is their id; the tokens themselves are not kept."""

    name = "tokens"

    def prepare(self) -> None:
        """Make the table, and let the tokens open the workspace."""
        self.infos = self.table("infos", TokenInfo)
        self.state.keys.append(self.opens)

    def opens(self, token: str) -> bool:
        """Return whether a token was made here, and is neither deleted nor expired."""
        info = self.infos.get(_id_of(token))
        return info is not None and self._is_valid(info)

    @route("POST", "2.0/token/create", differs=SAME_USER)
    def create(self, request: Request) -> object:
        """Make a token; this is the only time that it is shown."""
        lifetime, now = request.get("lifetime_seconds"), self.state.now()
        if lifetime is not None and (not isinstance(lifetime, int) or lifetime <= 0):
            raise invalid(f"lifetime_seconds must be a whole number above 0, and is {lifetime!r}")
        token = f"dapi-local-{secrets.token_hex(16)}"
        user = self.state.identity
        info = self.infos[_id_of(token)] = TokenInfo(
            token_id=_id_of(token),
            comment=_checked("comment", request.get("comment")) or "",
            creation_time=now,
            expiry_time=now + lifetime * 1000 if lifetime else NEVER,
            created_by_id=int(user.user_id),
            created_by_username=user.user_name,
            owner_id=int(user.user_id),
            scopes=_checked("scopes", request.get("scopes")),
            workspace_id=user.workspace_id,
        )
        return {"token_value": token, "token_info": _public(info)}

    @route("GET", "2.0/token/list")
    def list_own(self, _request: Request) -> object:
        """Return the valid tokens, newest first, not their values; this listing has no pages."""
        return {"token_infos": [_public(info) for info in self._valid()]}

    @route("PATCH", "2.0/token/<token_id>")
    def update(self, request: Request) -> object:
        """Change the comment or the scopes of a token."""
        info, change = self._info(str(request.path["token_id"])), request.get("token") or {}
        if not isinstance(change, dict):
            raise invalid(f"token must be an object, and is {change!r}")
        for field in str(request.required("update_mask")).split(","):
            if field not in ("comment", "scopes"):
                raise invalid(f"update_mask: only comment and scopes can be changed, not {field!r}")
            setattr(info, field, _checked(field, change.get(field)))
        return None

    @route("POST", "2.0/token/delete")
    def delete(self, request: Request) -> object:
        """Delete a token, which opens nothing from now on."""
        del self.infos[str(self._info(str(request.required("token_id"))).token_id)]
        return None

    @route("GET", "2.0/token-management/tokens")
    def list_all(self, request: Request) -> object:
        """Return the tokens of the workspace, of one maker if wanted."""
        maker, maker_id = request.get("created_by_username"), request.get("created_by_id")
        found = [info for info in self._valid() if maker in (None, info.created_by_username)]
        return {"token_infos": [x.as_dict() for x in found if maker_id in (None, str(x.created_by_id))]}

    @route("GET", "2.0/token-management/tokens/<token_id>")
    def get(self, request: Request) -> object:
        """Return what is known of a token."""
        return {"token_info": self._info(str(request.path["token_id"])).as_dict()}

    @route("DELETE", "2.0/token-management/tokens/<token_id>")
    def revoke(self, request: Request) -> object:
        """Delete a token of anybody."""
        del self.infos[str(self._info(str(request.path["token_id"])).token_id)]
        return None

    def _info(self, token_id: str) -> TokenInfo:
        return self.infos.existing(token_id, f"Token with id {token_id} does not exist")

    def _valid(self) -> list[TokenInfo]:
        return [info for info in reversed([*self.infos.values()]) if self._is_valid(info)]

    def _is_valid(self, info: TokenInfo) -> bool:
        return info.expiry_time is None or info.expiry_time == NEVER or info.expiry_time > self.state.now()


def _id_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _checked(field: str, value: Any) -> Any:
    """Return a comment or scopes, unless they are of the wrong type."""
    texts = value if field == "scopes" and isinstance(value, list) else [value]
    if value is not None and not all(isinstance(text, str) for text in texts):
        raise invalid(f"{field} must be {'a list of texts' if field == 'scopes' else 'a text'}, and is {value!r}")
    if field == "scopes" and isinstance(value, str):
        raise invalid(f"scopes must be a list of texts, and is {value!r}")
    return value


def _public(info: TokenInfo) -> dict[str, Any]:
    """Return what the owner of a token sees of it."""
    content = info.as_dict()
    return {name: content[name] for name in PUBLIC if name in content}
