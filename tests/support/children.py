# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python processes that tests start."""

from __future__ import annotations

import os
import sys


def same_imports() -> dict[str, str]:
    """The environment in which another process of this Python imports what this one does, this collection too."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
