# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host remembers outside of backups is in a directory of each test's own."""

from __future__ import annotations

# pylint: disable-next=unused-import
from ansible_collections.innodb.xtrabackup.tests.support.host_state import _state  # noqa: F401  a fixture for each test
