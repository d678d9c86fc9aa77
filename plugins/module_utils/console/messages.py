# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of a running job, as lines of the stock tool; its progress, as a bar on a terminal."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from typing import Any

from ..engine import job_log
from ..engine.errors import XtrabackupError
from ..engine.printable import printable
from ..engine.progress import Progress
from ..engine.units import format_size
from .dialects import ToolDialect
from .spelling import ConsoleSpelling

_BAR_WIDTH = 30
_BAR_SECONDS = 0.25
_LINE_SECONDS = 10.0


class Messages:
    """Lines on standard error, one for each message. Thread-safe; an error of writing them never ends a job."""

    def __init__(self, dialect: ToolDialect) -> None:
        self._dialect = dialect
        self._lock = threading.Lock()
        self._shown = ""
        self.on_terminal = sys.stderr is not None and sys.stderr.isatty()

    def note(self, text: str) -> None:
        """Something to know."""
        self._write(self._dialect.line("Note", text))

    def warn(self, text: str) -> None:
        """Something to think about."""
        self._write(self._dialect.line("Warning", text))

    def fail(self, error: XtrabackupError) -> None:
        """Why it failed, and what to do."""
        message, remedy = error.spelled(ConsoleSpelling(self._dialect))
        self._write(self._dialect.line("ERROR", f"{message.rstrip('.')}. {remedy}"))

    def show_bar(self, text: str) -> None:
        """Show ``text`` at the bottom of the terminal in place of what was there."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            sys.stderr.write("\r\x1b[K" + printable(text))
            sys.stderr.flush()
            self._shown = text

    def _write(self, line: str) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            head = "\r\x1b[K" if self._shown else ""
            self._shown = ""
            sys.stderr.write(f"{head}{printable(line)}\n")
            sys.stderr.flush()


class ConsoleLog(logging.Handler):
    """Prints the engine's log records as lines of the tool (``--verbose``)."""

    def __init__(self, messages: Messages) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.note(job_log.render(record))


class ConsoleProgress(Progress):
    """Progress that is shown: each phase as a line, and in between how far it is."""

    def __init__(self, job: str, messages: Messages) -> None:
        super().__init__(job)
        self._messages = messages
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="progress", daemon=True)
        self._watcher.start()

    def phase(self, name: str, total: int | None = None) -> None:
        super().phase(name, total)
        self._messages.note(name if total is None else f"{name}: {format_size(total)}")

    def close(self) -> None:
        self._over.set()
        self._watcher.join(1.0)
        super().close()

    def _watch(self) -> None:
        last = time.monotonic()
        pause = _BAR_SECONDS if self._messages.on_terminal else 1.0
        while not self._over.wait(pause):
            status = self.snapshot()
            if self._messages.on_terminal:
                self._messages.show_bar(render(status))
            elif time.monotonic() - last >= _LINE_SECONDS:
                last = time.monotonic()
                self._messages.note(render(status))
        if self._messages.on_terminal:
            self._messages.show_bar("")


def render(status: dict[str, Any]) -> str:
    """Returns the progress of a job, in words and, when the end is known, as a bar."""
    done, total = int(status["bytes"]), status["bytes_total"]
    rate = f"{status['mib_per_second']:.1f} MiB/s"
    if not total:
        return f"{status['phase']}: {format_size(done)}, {rate}"
    share = min(done / total, 1.0)
    filled = "#" * round(share * _BAR_WIDTH)
    left = "" if status["eta_seconds"] is None else f", {status['eta_seconds']:.0f} s left"
    return f"{status['phase']}: [{filled:<{_BAR_WIDTH}}] {share:4.0%} of {format_size(total)}, {rate}{left}"
