# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that exist nowhere else, and the search for them: in processes and files while something runs, in everything
that it leaves afterwards."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from . import process_watch

_CHUNK = 16 << 20  # bytes that are searched at once


def forms_of(secret: bytes) -> list[bytes]:
    """``secret`` and the forms in which it may be hidden in text: hexadecimal, and base64 wherever it begins there."""
    forms = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + secret)
        # without the characters that hold bits of what is before and behind
        start, end = (shift * 8 + 5) // 6, (shift + len(secret)) * 8 // 6
        forms.append(encoded[start:end])
    return forms


@dataclass(frozen=True)
class Finding:
    """A secret (by its name) and where it was. ``open``: whether others than the owner could read it there."""

    secret: str
    where: str
    open: bool


class Watch:
    """Watches processes and the files below ``roots`` while the block runs, from a process of its own."""

    def __init__(self, *roots: Path) -> None:
        self._roots = roots
        self._answer: dict[str, Any] = {}

    def __enter__(self) -> Watch:
        program = [sys.executable, str(Path(process_watch.__file__)), *map(str, self._roots)]
        self._process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "watching\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, secrets: Mapping[str, bytes], files: tuple[str, ...] = ()) -> dict[str, Any]:
        """End the watch and search all that it has seen; see ``process_watch``. ``findings`` instead of ``hits``;
        ``contents``: all that files held whose names end in one of ``files``."""
        named = [(name, form) for name, secret in secrets.items() for form in forms_of(secret)]
        question = {"secrets": [base64.b64encode(form).decode() for _name, form in named], "files": list(files)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        answer["contents"] = [base64.b64decode(text) for text in answer["contents"]]
        answer["findings"] = {_finding(named[hit["secret"]][0], hit) for hit in answer.pop("hits")}
        return answer


def _finding(secret: str, hit: dict[str, Any]) -> Finding:
    if hit["where"] == "file":
        return Finding(secret, hit["path"], bool(hit["open"]))
    return Finding(secret, f"{hit['where']} of {hit['name']}", open=True)


def search(root: Path, secrets: Mapping[str, bytes]) -> set[Finding]:
    """Every file below ``root``, however large, that holds one of ``secrets`` in any form.

    Files are read and not mapped: a server may shorten its files meanwhile.
    """
    found = set()
    named = [(name, form) for name, secret in secrets.items() for form in forms_of(secret)]
    longest = max((len(form) for _name, form in named), default=0)
    for directory, _names, files in os.walk(root):
        for file in files:
            path = Path(directory) / file
            if not path.is_file() or path.is_symlink():
                continue
            is_open = bool(path.stat().st_mode & 0o044)
            with open(path, "rb") as source:
                data = b""
                while chunk := source.read(_CHUNK):
                    data = data[-longest:] + chunk  # a secret may lie across two chunks
                    found |= {Finding(name, str(path), is_open) for name, form in named if form in data}
    return found
