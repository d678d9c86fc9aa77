# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of this host that are asked something."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

_ANSWER_SECONDS = 30.0


def answer_of(argv: Sequence[str], search: str | None = None) -> subprocess.CompletedProcess[str] | None:
    """The end of the program ``argv``, with what it printed; None when it cannot be run, or has not ended after 30 s.

    It gets no input, and ``search`` as its search path (None: ours).
    """
    try:
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=_ANSWER_SECONDS,
            check=False,
            env=None if search is None else {**os.environ, "PATH": search},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
