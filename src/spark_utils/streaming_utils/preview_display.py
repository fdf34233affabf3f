"""Where a preview is shown: Databricks' `display`, a notebook's display handle, or a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from types import ModuleType

    from spark_utils.streaming_utils.preview import Preview


def databricks_display(
    environ: Mapping[str, str], builtins: ModuleType, modules: Mapping[str, ModuleType]
) -> Callable[[Any], object] | None:
    """Return the notebook's `display` on Databricks, else None.

    Args:
        environ: The environment; `DATABRICKS_RUNTIME_VERSION` is set on every Databricks cluster.
        builtins: Where Databricks puts `display` for modules.
        modules: The loaded modules; the notebook's own names are in IPython's shell, if that is loaded.
    """
    if "DATABRICKS_RUNTIME_VERSION" not in environ:
        return None
    shell = running_shell(modules)
    names = {} if shell is None else shell.user_ns
    display = names.get("display") or getattr(builtins, "display", None)
    return display if callable(display) else None


def running_shell(modules: Mapping[str, ModuleType]) -> Any:
    """Return IPython's shell if this process runs one, without importing IPython."""
    ipython = modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def live_screen(stream: TextIO) -> Callable[[Preview], None]:
    """Return a function that shows one preview in the place of the one before.

    Args:
        stream: Where text goes outside a notebook. A stream that is no terminal gets one summary line per preview.
    """
    import sys

    shell = running_shell(sys.modules)
    if shell is not None and hasattr(shell, "kernel"):
        return _notebook_screen()
    return _terminal_screen(stream) if stream.isatty() else lambda preview: _write(stream, f"{preview.summary()}\n")


def _notebook_screen() -> Callable[[Preview], None]:
    from IPython.display import display

    handle: Any = None

    def show(preview: Preview) -> None:
        nonlocal handle
        if handle is None:
            handle = display(preview, display_id=True)  # type: ignore[no-untyped-call]  # IPython has no types here
        else:
            handle.update(preview)

    return show


def _terminal_screen(stream: TextIO) -> Callable[[Preview], None]:
    lines = 0

    def show(preview: Preview) -> None:
        nonlocal lines
        text = str(preview)
        # Up to the first line of the last picture, then clear to the end of the screen (ECMA-48: CUU, ED).
        _write(stream, (f"\x1b[{lines}F\x1b[J" if lines else "") + text + "\n")
        lines = text.count("\n") + 1

    return show


def _write(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()
