"""Why a body is rejected: a closed list of names, and the limits a body is held to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from spark_utils.errors import ConfigurationError

DEFAULT_MAX_BODY_BYTES = 1_048_576  # the ceiling of one event in Event Hubs
DEFAULT_MAX_DEPTH = 64
DEEPEST_LIMIT = 200  # the strict reader walks recursively; deeper limits could meet Python's own recursion limit


class Reason(StrEnum):
    r"""The closed list of verdicts on a rejected body; the value is what the column ``reason`` holds.

    The whole body, ``path`` is null:

    * ``null_body``: there is no body at all (a Kafka tombstone).
    * ``empty``: no byte, or nothing but JSON white space.
    * ``too_large``: more bytes than ``max_body_bytes``.
    * ``invalid_utf8``: the bytes are not UTF-8.
    * ``too_deep``: objects and arrays nested deeper than ``max_depth`` (the root object counts as 1).
    * ``truncated``: correct JSON so far, but it ends before the root value is complete.
    * ``trailing_text``: a complete JSON value, then something else (such as a second object).
    * ``not_json``: anything else that RFC 8259 does not allow (a byte-order mark, comments, single quotes...).
    * ``not_an_object``: JSON whose root is an array, a string, a number, a boolean or null.
    * ``internal_error``: reading failed by a fault of this library, which ``detail`` names: please report it. The
      body is kept like any other, so that one event does not stop a stream for good.

    One place in the body, named by ``path``:

    * ``duplicate_key``: an object holds the same key twice, at any depth, in unknown fields too.
    * ``not_finite``: ``NaN``, ``Infinity`` or ``-Infinity`` as a number.
    * ``lone_surrogate``: an escape such as ``\ud800`` without its other half: no UTF-8 text can hold it.
    * ``missing_field``: a field that the schema requires (``nullable = false``) is absent.
    * ``null_field``: a field, array element or map value that must not be null is ``null``.
    * ``type_mismatch``: another JSON type than the schema declares, such as a string for a number.
    * ``lossy_number``: a number that would lose digits: ``1.5``, but also ``1.0`` and ``1e3``, in an integer
      column (which takes integer notation only), or more decimals than the scale of a decimal.
    * ``overflow``: a number outside the range of its column.
    * ``bad_timestamp``, ``bad_date``, ``bad_binary``: text that is not in the documented form.
    * ``unknown_field``: a field that the schema does not know (only with ``unknown="reject"``).
    """

    NULL_BODY = "null_body"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    INVALID_UTF8 = "invalid_utf8"
    TOO_DEEP = "too_deep"
    TRUNCATED = "truncated"
    TRAILING_TEXT = "trailing_text"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    DUPLICATE_KEY = "duplicate_key"
    NOT_FINITE = "not_finite"
    LONE_SURROGATE = "lone_surrogate"
    MISSING_FIELD = "missing_field"
    NULL_FIELD = "null_field"
    TYPE_MISMATCH = "type_mismatch"
    LOSSY_NUMBER = "lossy_number"
    OVERFLOW = "overflow"
    BAD_TIMESTAMP = "bad_timestamp"
    BAD_DATE = "bad_date"
    BAD_BINARY = "bad_binary"
    UNKNOWN_FIELD = "unknown_field"
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a body may be at most.

    Args:
        max_body_bytes: Bytes of a body; the default is the ceiling of one event in Event Hubs, 1 MiB.
        max_depth: Nesting of objects and arrays, at most 200; the root object counts as 1.

    Raises:
        ConfigurationError: a limit is out of its range.
    """

    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    max_depth: int = DEFAULT_MAX_DEPTH

    def __post_init__(self) -> None:
        """Refuse limits that could not be kept."""
        if self.max_body_bytes < 1:
            raise ConfigurationError(
                f"max_body_bytes is {self.max_body_bytes}", origin="parse", remedy="Give a positive number."
            )
        if not 1 <= self.max_depth <= DEEPEST_LIMIT:
            raise ConfigurationError(
                f"max_depth is {self.max_depth}", origin="parse", remedy=f"Give 1 to {DEEPEST_LIMIT}."
            )


class RejectedBodyError(Exception):
    """Raised inside the strict reader only, and turned into a verdict before it leaves the package."""

    def __init__(self, reason: Reason, detail: str, path: tuple[str | int, ...] | None = None) -> None:
        self.reason = reason
        self.detail = detail
        self.path = path
        super().__init__(reason.value)
