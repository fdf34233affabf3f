"""What of a plan must not be shown: what looks like a secret that somebody wrote out."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any, Final

from devkit.deploy.plan.model import Action, Change

MASK: Final = "***"
NAMES: Final = (
    r"password|passwd|pwd|passphrase|secret|token|credential|(?<![a-z])sas(?![a-z])"
    r"|(?:account|access|api|private)[._-]?key|connection[._-]?string"
)
SECRET_NAME: Final = re.compile(NAMES, re.IGNORECASE)
SECRET_OPTION: Final = re.compile(rf"-{{0,2}}[\w.-]*(?:{NAMES})[\w.-]*", re.IGNORECASE)
SECRET_TEXT: Final = re.compile(
    r"\bdapi[0-9a-f]{32}(-\d)?\b|(?<=AccountKey=)[^;\s]+|(?<=SharedAccessKey=)[^;\s]+|(?<=sig=)[^&\s]+"
)
SECRET_ASSIGNED: Final = re.compile(
    rf"((?:{NAMES})[\w.-]{{0,80}}[\"']?\s*[=:]\s*[\"']?|--?[\w.-]{{0,80}}?(?:{NAMES})[\w.-]{{0,80}}\s+(?!-))"
    r"(?!\{\{secrets/|\$\{|\*\*\*)[^\s\"';&,]+",
    re.IGNORECASE,
)
REFERENCE: Final = re.compile(r"\{\{secrets/[^{}]*\}\}")
NAMED_ITEMS: Final = re.compile(r"\b(tasks|job_clusters|environments|depends_on)\[[^\]]*\]")  # free names, no settings


def masked(action: Action) -> Iterator[Change]:
    """Yield the changes of an action with every secret masked."""
    about = action.desired or action.actual
    secret = about is not None and about.kind == "secrets"
    known = {text for each in (action.desired, action.actual) if each is not None for text in _hidden(each.body)}
    for change in action.changes:
        if secret and change.path in ("value", "digest"):
            yield Change("value", None, MASK) if change.before is None else Change("value", MASK, f"{MASK} (changed)")
        else:
            before, after = (cleaned(each, change.path, known) for each in (change.before, change.after))
            yield Change(change.path, before, after)


def cleaned(value: Any, path: str = "", known: set[str] | None = None) -> Any:
    """Return a value without what looks like a secret that somebody wrote out.

    Args:
        value: Any part of a body.
        path: Where it stands; a name anywhere in it may tell that it is a secret.
        known: Texts that are secrets by what stands beside them elsewhere in the body.
    """
    known = {*(known or ()), *_hidden(value)}
    if isinstance(value, dict):
        return {name: cleaned(each, f"{path}.{name}", known) for name, each in value.items()}
    if isinstance(value, list):
        return [cleaned(each, path, known) for each in value]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    text = str(value)
    if text in known or SECRET_NAME.search(NAMED_ITEMS.sub(r"\1", path)):
        return value if not REFERENCE.sub("", text).strip() else MASK
    if not isinstance(value, str):
        return value
    return SECRET_ASSIGNED.sub(rf"\1{MASK}", SECRET_TEXT.sub(MASK, value))


def _hidden(content: Any) -> Iterator[str]:
    """Yield the texts that are secrets by what stands beside them: a name in a mapping, an option in a list."""
    if isinstance(content, dict):
        if any(isinstance(content.get(each), str) and SECRET_NAME.search(content[each]) for each in ("name", "key")):
            yield from (str(content[each]) for each in ("value", "default") if content.get(each) not in (None, ""))
        for each in content.values():
            yield from _hidden(each)
    elif isinstance(content, list):
        for option, each in itertools.pairwise(content):
            if isinstance(option, str) and isinstance(each, str) and each and SECRET_OPTION.fullmatch(option):
                yield each
        for each in content:
            yield from _hidden(each)
