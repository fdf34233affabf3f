"""`devkit completion`: the script that lets a shell complete verbs, options and files; `shtab` writes it."""

from __future__ import annotations

import argparse
from pathlib import Path

SHELLS = ("bash", "zsh")
HOW = """\
bash: eval "$(devkit completion bash)"; for every shell, add that line to ~/.bashrc
zsh:  devkit completion zsh > FOLDER/_devkit, for a FOLDER of $fpath, and a new shell
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `devkit completion bash|zsh`."""
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, HOW
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=_print)


def _print(arguments: argparse.Namespace) -> int:
    import shtab

    from devkit.cli import build_parser

    parser = build_parser(None, whole=True)
    _complete_paths(parser)
    print(shtab.complete(parser, arguments.shell))
    return 0


def _complete_paths(parser: argparse.ArgumentParser) -> None:
    """Let every argument that is a path, or whose placeholder says so, be completed with names of files."""
    import shtab

    for action in parser._actions:  # argparse has no public list of them, and shtab reads the same
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                _complete_paths(child)
        elif action.type is Path or any(
            word in f"{action.metavar or action.dest}".upper() for word in ("FILE", "FOLDER", "PATH")
        ):
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab's way
