# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security contexts of what was put in place, where SELinux is in use."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

_SECONDS = 3600.0


def relabel(paths: Iterable[Path]) -> list[str]:
    """Set the security context of ``paths``, and of what is in them; returns warnings."""
    program = shutil.which("restorecon", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if program is None or not os.path.exists("/sys/fs/selinux/enforce"):
        return []
    try:
        answer = subprocess.run(
            [program, "-R", *(str(path) for path in paths if path.exists())],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"{program}: {error}"]
    if answer.returncode:
        return [f"{program} failed: {answer.stderr.decode('utf-8', 'replace').strip()}"]
    return []
