# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make recording`: a terminal run of `make demo`, as it was, and a moving picture of it.

``docs/recording/demo.cast`` is what the terminal got and when (asciicast, version 2: ``asciinema play`` shows it), with
paths in the working copy made relative. ``demo.svg`` is made from that: the same text at the same speed, but no pause
is longer than a moment.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

PROJECT = Path(__file__).resolve().parents[2]
PLACE = PROJECT / "docs" / "recording"
TEMPLATE = Path(__file__).with_name("recording.svg")
COMMAND = ("make", "demo")
COLUMNS, ROWS = 120, 32

_LONGEST_PAUSE = 0.3  # seconds between two outputs in the picture
_END = 12.0  # seconds for which the end of the picture stands
_LINE, _CHARACTER, _FONT = 17, 7.25, 12.0  # pixels: height of a line, width of a character, size of the font
_MARGIN, _BAR = 16, 34
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\r(?!\n)")
# how a line looks; the first that matches
_STYLES = (
    ("prompt", re.compile(r"\$ ")),
    ("ours", re.compile(r"demo: ")),
    ("head", re.compile(r" *(PLAY|TASK)\b")),
    ("changed", re.compile(r" *changed: ")),
    ("bad", re.compile(r" *(fatal|failed): |demo: FAILED")),
    ("good", re.compile(r" *ok: ")),
    ("quiet", re.compile(r" *(skipping|included|setup): ")),
)


@dataclass(frozen=True)
class Line:
    """A line of the terminal, and when (seconds from the beginning) it was complete."""

    at: float
    text: str


# --- the run -------------------------------------------------------------------------------------


def record(cast: Path) -> int:
    """Run the command in a terminal of its own and write what it prints, and end its servers; returns its status."""
    begun = time.monotonic()
    directory = Path(tempfile.gettempdir()) / "xtrabackup-demo"
    # as if make were not run by make
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment = {
        **inherited, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS), "DEMO_DIR": str(directory)
    }  # fmt: skip
    header = {
        "version": 2, "width": COLUMNS, "height": ROWS, "timestamp": int(time.time()), "title": " ".join(COMMAND)
    }  # fmt: skip
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        COMMAND, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    with open(cast, "w", encoding="utf-8") as target:
        target.write(json.dumps(header) + "\n")
        target.write(json.dumps([0.0, "o", f"$ {' '.join(COMMAND)}\r\n"]) + "\n")
        for data in _output(controller):
            sys.stdout.write(data)
            sys.stdout.flush()
            # where this working copy is tells nobody anything
            reported = data.replace(f"{PROJECT}/", "")
            target.write(json.dumps([round(time.monotonic() - begun, 3), "o", reported]) + "\n")
    status = process.wait()
    down = str(PROJECT / "demo" / "down")
    subprocess.run([down], cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL, check=False)
    return status


def _output(controller: int) -> Iterator[str]:
    """What comes out of a terminal, in whole lines, until nobody writes to it any more."""
    rest = b""
    while True:
        try:
            data = os.read(controller, 1 << 16)
        except OSError:  # EIO: the last writer has closed it
            data = b""
        whole, newline, rest = (rest + data).rpartition(b"\n")
        if not data:
            whole, newline, rest = whole + newline + rest, b"", b""
        if whole or newline:
            yield (whole + newline).decode("utf-8", "replace")
        if not data:
            return


# --- the picture ---------------------------------------------------------------------------------


def lines_of(cast: Path) -> list[Line]:
    """The lines that the terminal showed, wrapped at its width."""
    found: list[Line] = []
    pending = ""
    for event in cast.read_text(encoding="utf-8").splitlines()[1:]:
        at, kind, data = json.loads(event)
        if kind != "o":
            continue
        *complete, pending = _CONTROL.sub("", pending + data).replace("\r\n", "\n").split("\n")
        for text in complete:
            pieces = [text[start : start + COLUMNS] for start in range(0, len(text), COLUMNS)] or [""]
            found += [Line(at, piece) for piece in pieces]
    if pending:
        found.append(Line(found[-1].at if found else 0.0, pending))
    return found


def moments(lines: list[Line]) -> list[tuple[float, int]]:
    """When (seconds in the picture) how many lines are there. Pauses are shortened, nothing else is."""
    result: list[tuple[float, int]] = []
    shown, before = 0.0, 0.0
    for count, line in enumerate(lines, 1):
        shown += min(line.at - before, _LONGEST_PAUSE)
        before = line.at
        if result and shown - result[-1][0] < 0.02:
            result[-1] = (result[-1][0], count)
        else:
            result.append((shown, count))
    return result


def render(lines: list[Line], title: str) -> str:
    """The moving picture: all lines in one column, which is moved up, and a cover over what has not come yet."""
    steps = moments(lines)
    total = steps[-1][0] + _END
    width = round(COLUMNS * _CHARACTER) + 2 * _MARGIN
    height = ROWS * _LINE + _BAR + 2 * _MARGIN
    scroll, cover = [], []
    for at, count in steps:
        percent = f"{100 * at / total:.3f}%"
        scroll.append(f"{percent}{{transform:translateY({-max(0, count - ROWS) * _LINE}px)}}")
        cover.append(f"{percent}{{transform:translateY({count * _LINE}px)}}")
    texts = "\n".join(
        f'<text class="{_style(line.text)}" y="{(number + 1) * _LINE - 5}">{escape(line.text, quote=False)}</text>'
        for number, line in enumerate(lines)
        if line.text.strip()
    )
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        seconds=f"{lines[-1].at:.0f}",
        width=width,
        height=height,
        middle=width // 2,
        margin=_MARGIN,
        top=_BAR + _MARGIN,
        inner=width - _MARGIN,
        screen=ROWS * _LINE,
        page=(len(lines) + 1) * _LINE,
        font=_FONT,
        total=f"{total:.2f}",
        scroll="".join(scroll),
        cover="".join(cover),
        scrolled=-max(0, steps[-1][1] - ROWS) * _LINE,
        covered=steps[-1][1] * _LINE,
        texts=texts,
    )


def _style(text: str) -> str:
    return next((name for name, pattern in _STYLES if pattern.match(text)), "plain")


def main() -> None:
    """Record, and make the picture; with the argument ``picture``, only the picture."""
    cast = PLACE / "demo.cast"
    if sys.argv[1:] != ["picture"]:
        PLACE.mkdir(exist_ok=True)
        scratch = PROJECT / ".build" / "demo.cast"
        try:
            if record(scratch) != 0:
                raise SystemExit("recording: the demo has failed; nothing was changed")
            shutil.move(scratch, cast)
        finally:
            scratch.unlink(missing_ok=True)
    cast.with_suffix(".svg").write_text(render(lines_of(cast), " ".join(COMMAND)), encoding="utf-8")
    sys.stdout.write(f"recording: {cast.relative_to(PROJECT)}, {cast.with_suffix('.svg').relative_to(PROJECT)}\n")


if __name__ == "__main__":
    main()
