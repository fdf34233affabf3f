"""What the REST API answers when it refuses: a status, an error code and a message, always as JSON.

Source: https://docs.databricks.com/api/azure/workspace/introduction and the error table of databricks-sdk.
A plain-text answer would crash the SDK's multipart upload.
"""

from __future__ import annotations


class ApiError(Exception):
    """A refusal, as the client sees it.

    Args:
        status: The HTTP status.
        error_code: Such as ``RESOURCE_DOES_NOT_EXIST``.
        message: One sentence with the offending value and, where there is one, the remedy.
        reason: What some clients tell cases apart by, such as ``FILES_API_DIRECTORY_IS_NOT_EMPTY``.
    """

    def __init__(self, status: int, error_code: str, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status
        self.error_code = error_code
        self.message = message

    def body(self) -> dict[str, object]:
        """Return the JSON body."""
        body: dict[str, object] = {"error_code": self.error_code, "message": self.message}
        if self.reason:
            body["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": self.reason}]
        return body


def invalid(message: str) -> ApiError:
    """Return 400 ``INVALID_PARAMETER_VALUE``."""
    return ApiError(400, "INVALID_PARAMETER_VALUE", message)


def invalid_state(message: str) -> ApiError:
    """Return 400 ``INVALID_STATE``: the resource exists, but not in a state that allows this."""
    return ApiError(400, "INVALID_STATE", message)


def not_found(message: str) -> ApiError:
    """Return 404 ``RESOURCE_DOES_NOT_EXIST``."""
    return ApiError(404, "RESOURCE_DOES_NOT_EXIST", message)


def already_exists(message: str) -> ApiError:
    """Return 400 ``RESOURCE_ALREADY_EXISTS``, which is what most services use, rather than 409."""
    return ApiError(400, "RESOURCE_ALREADY_EXISTS", message)


def conflict(message: str) -> ApiError:
    """Return 409 ``RESOURCE_CONFLICT``."""
    return ApiError(409, "RESOURCE_CONFLICT", message)
