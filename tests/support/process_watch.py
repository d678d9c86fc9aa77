# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches every process's arguments and environment, and small files as they come and go, until it is asked about them.

A program of its own: ``process_watch.py DIRECTORY...`` watches until it reads a line of JSON, ``{"secrets": [base64],
"files": [endings of names]}``, and answers with one: ``{"sweeps", "processes", "names", "hits", "contents"}``. What
it has seen is in memory only. Standard library only.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import stat
import sys
import threading
import time
from pathlib import Path
from typing import Any

_MAX_FILE = 2 << 20  # bytes; what is larger is searched when all is over
_FILE_PAUSE = 0.02  # seconds between two looks at the files


class ProcessWatch:
    """What all processes that were seen had as arguments and in their environment."""

    def __init__(self) -> None:
        self.sweeps = 0
        self._arguments: dict[str, bytes] = {}
        self._seen: dict[tuple[str, str, bytes], str] = {}

    def sweep(self) -> None:
        """Look at each process once. The environment is read again when the arguments are others: it was executed."""
        running: dict[str, bytes] = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                arguments = _read(f"/proc/{pid}/cmdline")
                running[pid] = arguments
                if self._arguments.get(pid) != arguments:
                    name = _read(f"/proc/{pid}/comm").decode("utf-8", "replace").strip()
                    self._seen[pid, "arguments", arguments] = name
                    self._seen[pid, "environment", _read(f"/proc/{pid}/environ")] = name
        self._arguments = running
        self.sweeps += 1

    def names(self) -> list[str]:
        """The programs and scripts that were seen, as the last parts of the paths in their arguments."""
        words = (word for _pid, kind, data in self._seen if kind == "arguments" for word in data.split(b"\0"))
        return sorted({os.path.basename(word).decode("utf-8", "replace") for word in words if b"/" in word})

    def find(self, secrets: list[bytes]) -> list[dict[str, Any]]:
        """Where any of ``secrets`` was seen; ``secret`` is its number."""
        return [
            {"secret": number, "where": kind, "pid": int(pid), "name": name}
            for (pid, kind, data), name in self._seen.items()
            for number, secret in enumerate(secrets)
            if secret in data
        ]

    def processes(self) -> int:
        """How many processes were seen."""
        return len({pid for pid, _kind, _data in self._seen})


class FileWatch:
    """What the small files below ``roots`` held at some time, and who could read them then."""

    def __init__(self, roots: list[Path]) -> None:
        self._roots = roots
        self._versions: dict[tuple[str, int, int, int], int] = {}
        self._seen: dict[tuple[str, int, bytes], None] = {}

    def sweep(self) -> None:
        """Look at each file once, and into those that are new or have changed."""
        for root in self._roots:
            for directory, _names, files in os.walk(root):
                for name in files:
                    with contextlib.suppress(OSError):
                        self._look(os.path.join(directory, name))

    def _look(self, path: str) -> None:
        status = os.lstat(path)
        version = (path, status.st_ino, status.st_mtime_ns, status.st_size)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_FILE or version in self._versions:
            return
        self._seen[path, self._openness(path, status.st_mode), _read(path)] = None
        self._versions[version] = 1

    def _openness(self, path: str, mode: int) -> int:
        """The bits of others that let them read ``path``: 0 when the file, or a directory above it (but not above the
        root, which is the test's), keeps them out."""
        bits = mode & (stat.S_IRGRP | stat.S_IROTH)
        for parent in Path(path).parents:
            if parent in self._roots:
                break
            inner = stat.S_IMODE(os.stat(parent).st_mode)
            if not inner & stat.S_IXGRP:
                bits &= ~stat.S_IRGRP
            if not inner & stat.S_IXOTH:
                bits &= ~stat.S_IROTH
        return bits

    def find(self, secrets: list[bytes]) -> list[dict[str, Any]]:
        """Where any of ``secrets`` was seen, with the bits that let others read it there."""
        return [
            {"secret": number, "where": "file", "path": path, "open": bits}
            for path, bits, data in self._seen
            for number, secret in enumerate(secrets)
            if secret in data
        ]

    def content_of(self, endings: tuple[str, ...]) -> list[bytes]:
        """All that was in files whose names have one of these ``endings``."""
        return [data for path, _bits, data in self._seen if path.endswith(endings)]


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as source:
        return source.read(_MAX_FILE)


def main(roots: list[str]) -> None:
    """Watch until there is a question; more questions may follow."""
    processes, files, ended = ProcessWatch(), FileWatch([Path(root) for root in roots]), threading.Event()

    def watch_files() -> None:
        while not ended.is_set():
            files.sweep()
            time.sleep(_FILE_PAUSE)

    def watch_processes() -> None:
        while not ended.is_set():
            processes.sweep()
            time.sleep(0.001)

    threads = [threading.Thread(target=watch) for watch in (watch_files, watch_processes)]
    for thread in threads:
        thread.start()
    print("watching", flush=True)
    for line in sys.stdin:
        ended.set()
        for thread in threads:
            thread.join()
        question = json.loads(line)
        secrets = [base64.b64decode(secret) for secret in question["secrets"]]
        answer = {
            "sweeps": processes.sweeps,
            "processes": processes.processes(),
            "names": processes.names(),
            "hits": [*processes.find(secrets), *files.find(secrets)],
            "contents": [base64.b64encode(data).decode() for data in files.content_of(tuple(question["files"]))],
        }
        print(json.dumps(answer), flush=True)
    ended.set()


if __name__ == "__main__":
    main(sys.argv[1:])
