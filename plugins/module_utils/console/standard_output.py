# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Standard output carries the stream and nothing else, whatever any library may print."""

from __future__ import annotations

import os
import select


def open_missing() -> None:
    """Open what of the first three descriptors is closed, so that no file of ours gets such a number.

    A standard output that was closed cannot be written to afterwards either: a stream that went nowhere is no success.
    """
    null = os.open(os.devnull, os.O_RDWR)
    while null < 3:
        if null == 1:
            unwritable = os.open(os.devnull, os.O_RDONLY)
            os.dup2(unwritable, null)
            os.close(unwritable)
        os.set_inheritable(null, True)
        null = os.open(os.devnull, os.O_RDWR)
    os.close(null)


def take() -> int:
    """The descriptor of standard output; from here on the usual one leads to standard error."""
    descriptor = os.dup(1)
    os.dup2(2, 1)
    return descriptor


def write(descriptor: int, text: str) -> None:
    """Write ``text`` for a person; raises OSError."""
    view = memoryview(text.encode("utf-8", "replace"))
    while view:
        view = view[os.write(descriptor, view) :]


def is_broken(descriptor: int) -> bool:
    """Returns whether nobody reads from the pipe ``descriptor`` any more."""
    poll = select.poll()
    try:
        poll.register(descriptor, 0)
        return any(event & select.POLLERR for _descriptor, event in poll.poll(0))
    except (OSError, ValueError):
        return False
