"""What looks like a secret, and masking: the one home of both.

There are two ways to keep a secret out of what people read. A value that is known is replaced wherever it stands
(`redact`, `RedactingFilter`). A value that is not known is recognised by what stands before it, or by its own form
(`looks_secret_name`, `looks_secret_text`, `mask_credentials`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Final

from spark_utils.errors import ConfigurationError

MASK: Final = "***"

# Spark's own default, `(?i)secret|password|token|access[.]?key`, lets account keys, SAS and JAAS lines through.
_NAMES: Final = (
    r"password|passwd|passphrase|pwd|secret|token|credential|jaas"
    r"|(?:access|account|api|private|shared)[._-]?key|shared[._-]?access[._-]?signature|connection[._-]?string"
    r"|(?<![a-z])sas(?![a-z])|(?-i:Sas|SAS)(?![a-z])"
)
_NAME: Final = re.compile(_NAMES, re.IGNORECASE)
_SIGNATURE: Final = r"(?<![a-z])sig"  # of a shared access signature; as a name by itself it would say too little
_REFERENCE: Final = r"(?:\{\{\s*secrets/|\$\{|\*\*\*)"  # what is written in the place of a secret is none
_ASSIGNED: Final = re.compile(
    rf"(?P<name>(?:{_NAMES})[\w.-]{{0,80}}(?:\\?[\"'])?\s*[=:]\s*|{_SIGNATURE}\s*=\s*"
    rf"|--?[\w.-]{{0,80}}?(?:{_NAMES})[\w.-]{{0,80}}\s+(?!-))"
    rf"(?!\\?[\"']?{_REFERENCE})"
    r"(?:(?P<quote>\\[\"'])[^\"'\\]+|(?P<double>\")(?:\\.|[^\"\\])+|(?P<single>')(?:\\.|[^'\\])+|[^\s\"';&,]+)",
    re.IGNORECASE,
)
_FORM: Final = re.compile(r"\bdapi[0-9a-f]{32}(?:-\d)?\b")  # a personal access token of Databricks


def looks_secret_name(name: str) -> bool:
    """Return whether a name (of a setting, an option, a variable, a key) says that its value is a secret."""
    return _NAME.search(name) is not None


def looks_secret_text(text: str) -> bool:
    """Return whether a text holds a credential: `AccountKey=…`, `password: …`, `?sig=…`, a Databricks token.

    A reference such as `{{secrets/scope/key}}` is none.
    """
    return _ASSIGNED.search(text) is not None or _FORM.search(text) is not None


def mask_credentials(text: str) -> str:
    """Replace the credentials in a text that nobody knows by value: what `looks_secret_text` finds.

    The name before a value stays: `password="x"` becomes `password="***"`, and `AccountKey=x;y` `AccountKey=***;y`.
    """
    return _FORM.sub(MASK, _ASSIGNED.sub(_masked_assignment, text))


def _masked_assignment(match: re.Match[str]) -> str:
    quote = match["quote"] or match["double"] or match["single"] or ""
    return f"{match['name']}{quote}{MASK}"


def redact(text: str, secrets: Iterable[str], *, mask: str = MASK) -> str:
    """Replace every occurrence of known values in a text, the longest first.

    Args:
        text: What is about to be shown.
        secrets: The values: plain texts, or `Secret`s, which are revealed. One that cannot be revealed (a reference
            found nowhere) cannot stand in the text and is skipped.
        mask: What to write instead.
    """
    for value in sorted(filter(None, {_revealed(secret) for secret in secrets}), key=len, reverse=True):
        text = text.replace(value, mask)
    return text


def _revealed(secret: str) -> str:
    reveal = getattr(secret, "reveal", None)  # a Secret is a `str` too; importing it here would be a circle
    try:
        return secret if reveal is None else str(reveal())
    except ConfigurationError:
        return ""


class RedactingFilter(logging.Filter):
    """A logging filter that masks known secrets in the message, its arguments and the traceback.

    Attach it to a handler (`handler.addFilter(RedactingFilter(config.secrets))`): a logger's filter would miss the
    records of its children.

    Args:
        secrets: The values to mask, as for `redact`; references are resolved once, here.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._values = [value for value in map(_revealed, secrets) if value]

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record in place and let it pass."""
        record.msg = redact(record.getMessage(), self._values)
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text, self._values)
        return True
