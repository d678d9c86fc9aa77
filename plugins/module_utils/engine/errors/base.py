# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The root of the tree of errors, and the modules that return them."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any, ClassVar

from ..printable import printable
from .wording import Spelling, Wording

BACKUP = "xtrabackup_backup"
INFO = "xtrabackup_info"
JOB = "xtrabackup_job"
PREPARE = "xtrabackup_prepare"
REPLICA = "xtrabackup_replica"
PROVISION = "xtrabackup_replica_provision"
RESTORE = "xtrabackup_restore"
SERVER = "xtrabackup_server"
XBSTREAM = "xbstream"


_DESCRIPTOR = re.compile(r"/proc/self/fd/\d+")


def returned_by(*modules: str) -> tuple[str, ...]:
    """The modules that return an error."""
    return modules


class XtrabackupError(Exception):
    """Any failure of the engine."""

    code: ClassVar[str] = "error"
    default_remedy: ClassVar[str] = "See the message and the details beside it."
    #: the modules that return it; none stands for all of them
    modules: ClassVar[tuple[str, ...]] = ()

    def __init__(self, message: str, *, remedy: str | None = None, **details: Any) -> None:
        self.message = message
        self.remedy = remedy or self.default_remedy
        super().__init__(str(self.message))
        self.details = {name: _named(value) for name, value in details.items()}

    @property
    def message(self) -> str:
        """The action, its object and what went wrong; options are spelled as in tasks."""
        return self._message

    @message.setter
    def message(self, text: str) -> None:
        self._message = Wording.of(text, clean)

    @property
    def remedy(self) -> str:
        """The action that the operator can take; options are spelled as in tasks."""
        return self._remedy

    @remedy.setter
    def remedy(self, text: str) -> None:
        self._remedy = Wording.of(text, clean)

    def spelled(self, spelling: Spelling) -> tuple[str, str]:
        """Message and remedy for a front end that has another ``spelling`` of options."""
        return self._message.spelled(spelling), self._remedy.spelled(spelling)

    def __str__(self) -> str:
        return str(self.message)

    def as_dict(self) -> dict[str, Any]:
        """The error as modules return it: code, message, remedy, details (JSON types only)."""
        return {
            "code": self.code,
            "message": str(self.message),
            "remedy": str(self.remedy),
            "details": {name: _plain(value) for name, value in self.details.items()},
        }


def clean(text: str) -> str:
    """``text`` on one line, with real paths: names in it can hold line ends and escape sequences, which would forge
    lines of a log."""
    return printable(str(_named(text)))


def _named(value: Any) -> Any:
    """``value``, where a path in it is that of a descriptor of ours (``host/anchor.py``), with the real path of what is
    open. It has to be done while that is open."""
    if isinstance(value, str):
        return _DESCRIPTOR.sub(_real_path, value) if "/proc/self/fd/" in value else value
    if isinstance(value, (list, tuple)):
        return [_named(item) for item in value]
    if isinstance(value, dict):
        return {_named(key): _named(item) for key, item in value.items()}
    return value


def _real_path(match: re.Match[str]) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(match[0])
    return match[0]


def _plain(value: Any) -> Any:
    """``value`` in JSON types; anything unknown becomes its text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return str(value)
