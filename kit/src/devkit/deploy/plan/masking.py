"""Masking in plans: what looks like a secret that somebody wrote out is not shown."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any, Final

from devkit.deploy.plan.model import Action, Change
from spark_utils.redaction import MASK, looks_secret_name, mask_credentials

REFERENCE: Final = re.compile(r"\{\{secrets/[^{}]*\}\}")
OPTION: Final = re.compile(r"-{0,2}[\w.-]+")
NAMED_ITEMS: Final = re.compile(r"\b(tasks|job_clusters|environments|depends_on)\[[^\]]*\]")  # free names, not settings


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
    if text in known or looks_secret_name(NAMED_ITEMS.sub(r"\1", path)):
        return value if not REFERENCE.sub("", text).strip() else MASK
    return mask_credentials(value) if isinstance(value, str) else value


def _hidden(content: Any) -> Iterator[str]:
    """Yield the texts that are secrets by what stands beside them: a name in a mapping, an option in a list."""
    if isinstance(content, dict):
        if any(isinstance(content.get(each), str) and looks_secret_name(content[each]) for each in ("name", "key")):
            yield from (str(content[each]) for each in ("value", "default") if content.get(each) not in (None, ""))
        for each in content.values():
            yield from _hidden(each)
    elif isinstance(content, list):
        for option, each in itertools.pairwise(content):
            if isinstance(option, str) and isinstance(each, str) and each and _is_secret_option(option):
                yield each
        for each in content:
            yield from _hidden(each)


def _is_secret_option(text: str) -> bool:
    return OPTION.fullmatch(text) is not None and looks_secret_name(text)
