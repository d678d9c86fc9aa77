# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that are gone in the middle of their changes of the file system."""

from __future__ import annotations

import os
import pathlib
import sys
from typing import Any, Callable

CHANGES = ("rename", "replace", "unlink", "rmdir", "mkdir")


def killed_at(step: int, action: Callable[[], Any]) -> bool:
    """Do ``action`` in a process that is gone when it begins its change of the file system number ``step``.

    False when it ended before that.
    """
    child = os.fork()
    if child == 0:
        left = [step]

        def dying(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **named: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)
                return function(*arguments, **named)

            return call

        # until Python 3.10 pathlib keeps the functions that it found when it was imported
        accessor = getattr(pathlib, "_NormalAccessor", None)
        for name in CHANGES:
            setattr(os, name, dying(getattr(os, name)))
            if accessor is not None:
                setattr(accessor, name, staticmethod(getattr(os, name)))
        try:
            action()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9)
    return status == 9
