"""Run one stage of a set-up, and show how far it is: `python stage.py "Python packages" .venv/bin/pip install …`.

On a terminal one line tells the seconds and what the command says now, such as pip's bar of a download; in a log there
is one line at the end. If the command fails, all that it said is shown. Nothing but Python is needed: this runs before
anything is installed.
"""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # colours and moves: https://ecma-international.org, ECMA-48
BAR = "━╸╺ "
LOOK_SECONDS = 0.25


def last_said(output: bytes) -> str:
    """Return the last line of an output as drawn last; pip's bar in figures, beside the line that it belongs to."""
    text = CONTROL.sub("", output[-4096:].decode(errors="replace")).rstrip()
    lines = [line.strip().rpartition("\r")[2].strip() for line in text.split("\n")]
    figures = lines[-1].lstrip(BAR)
    return figures if figures == lines[-1] else f"{lines[-2] if lines[1:] else ''} {figures}".strip()


def run(name: str, command: list[str], *, on_terminal: bool) -> int:
    """Run the command, show it as the module says, and return its status."""
    began = time.monotonic()
    width = shutil.get_terminal_size().columns - 1
    ours, its = pty.openpty() if on_terminal else os.pipe()
    environment = {**os.environ, "COLUMNS": str(width)}
    print(f"{name}: ", end="", flush=True)
    process = subprocess.Popen(command, stdout=its, stderr=its, env=environment)
    os.close(its)
    output = bytearray()
    while process.poll() is None or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], LOOK_SECONDS)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:  # so a terminal ends, on Linux
                break
            if not part:
                break
            output += part
        if on_terminal:
            now = f"{name}: {time.monotonic() - began:.0f} s  {last_said(bytes(output))}"
            print(f"\r{now[:width]}\x1b[K", end="", flush=True)
    status = process.wait()
    print(f"\r{name}: " if on_terminal else "", f"{time.monotonic() - began:.0f} s", end="", sep="")
    print("\x1b[K" if on_terminal else "", flush=True)
    if status:
        print(CONTROL.sub("", output.decode(errors="replace").replace("\r\n", "\n")), file=sys.stderr)
        print(f"{name}: `{' '.join(command)}` ended with status {status}", file=sys.stderr)
    return status


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches the command by itself
    sys.exit(run(sys.argv[1], sys.argv[2:], on_terminal=sys.stdout.isatty()))
