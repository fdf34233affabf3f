"""Uploads in parts and downloads in ranges: how the official client moves files of 50 MB and more.

Source: `databricks/sdk/mixins/files.py`, since the protocol is not documented. Where the real service hands out signed
addresses of the cloud's storage, this one hands out its own, with the caller's authorization as their header.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from local_workspace.errors import invalid, not_found
from local_workspace.server.routing import Reply, Request, route
from local_workspace.server.state import Service
from local_workspace.services.files import Files

OWN_ADDRESS: Final = "the address is this server's own and does not expire"

MOST_ADDRESSES: Final = 1000


class FileUploads(Service):
    """Uploads that are under way, by their session token."""

    name = "file-uploads"

    def prepare(self) -> None:
        """Make the table."""
        self.sessions = self.table("sessions", dict[str, Any])

    @route("POST", "2.0/fs/files/<path:path>")
    def act(self, request: Request) -> object:
        """Begin an upload in parts (``action=initiate-upload``), or put its parts together (``complete-upload``)."""
        action = request.query.get("action")
        if action == "initiate-upload":
            return self._begin(request)
        if action == "complete-upload":
            return self._complete(request)
        raise invalid(f"action must be initiate-upload or complete-upload, not {action!r}")

    @route("POST", "2.0/fs/create-upload-part-urls", differs=OWN_ADDRESS)
    def part_addresses(self, request: Request) -> object:
        """Return where parts are to be put."""
        session, first = self._session(request.required("session_token")), request.number("start_part_number")
        numbers = range(first, first + min(request.number("count"), MOST_ADDRESSES))
        addresses = ((number, self._address(request, f"/local/parts/{session}/{number}")) for number in numbers)
        return {"upload_part_urls": [{"part_number": number, **address} for number, address in addresses]}

    @route("POST", "2.0/fs/create-abort-upload-url", differs=OWN_ADDRESS)
    def abort_address(self, request: Request) -> object:
        """Return where an upload is given up."""
        session = self._session(request.required("session_token"))
        return {"abort_upload_url": self._address(request, f"/local/parts/{session}")}

    @route("POST", "2.0/fs/create-download-url", differs=OWN_ADDRESS)
    def download_address(self, request: Request) -> object:
        """Return where a file can be read in ranges."""
        return self._address(request, f"/api/2.0/fs/files{quote(str(request.required('path')))}")

    @route("PUT", "/local/parts/<session>/<int:number>", raw=True, differs="only here")
    def put_part(self, request: Request) -> object:
        """Keep a part, the last one sent of each number."""
        folder = self._folder(self._session(request.path["session"]))
        (folder / str(request.path["number"])).write_bytes(request.raw)
        return Reply(headers={"ETag": _tag(request.raw)})

    @route("DELETE", "/local/parts/<session>", differs="only here")
    def abort(self, request: Request) -> object:
        """Give an upload up."""
        self._forget(self._session(request.path["session"]))
        return None

    def _begin(self, request: Request) -> object:
        path, overwrite = str(request.path["path"]), request.flag("overwrite")
        self.state.service(Files).target(path, overwrite=overwrite)
        session = secrets.token_hex(16)
        self.sessions[session] = {"path": path, "overwrite": overwrite}
        return {"multipart_upload": {"session_token": session}}

    def _complete(self, request: Request) -> object:
        session = self._session(request.required("session_token"))
        kept, folder = self.sessions[session], self._folder(session)
        if kept["path"] != request.path["path"]:
            raise invalid(f"The upload belongs to /{kept['path']}, not to /{request.path['path']}")
        told = request.required("parts")
        parts = [folder / _number(each) for each in told]
        for part, said in zip(parts, told, strict=True):
            if not part.is_file() or said.get("etag") != _tag(part.read_bytes()):
                raise invalid(f"Part {part.name} was not sent, or was sent again since")
        target = self.state.service(Files).target(kept["path"], overwrite=kept["overwrite"])
        with (folder / "whole").open("wb") as whole:
            for part in parts:
                whole.write(part.read_bytes())
        (folder / "whole").replace(target)
        self._forget(session)
        return None

    def _session(self, token: object) -> str:
        if str(token) not in self.sessions:
            raise not_found("No upload is in progress for this session_token")
        return str(token)

    def _address(self, request: Request, path: str) -> dict[str, Any]:
        authorization = request.headers.get("authorization", "")
        return {"url": self.state.host + path, "headers": [{"name": "Authorization", "value": authorization}]}

    def _folder(self, session: str) -> Path:
        return self.state.path("uploads", session)

    def _forget(self, session: str) -> None:
        shutil.rmtree(self._folder(session))
        del self.sessions[session]


def _number(part: object) -> str:
    """Return the number of a part; it names a file, so that it can be nothing else than a number."""
    number = part.get("part_number") if isinstance(part, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise invalid(f"Invalid part {part!r}: part_number must be a whole number")
    return str(number)


def _tag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()}"'
