# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements that read, stop and start the SQL threads of a MariaDB server."""

from __future__ import annotations

STATUS = "SHOW ALL SLAVES STATUS"
NAME, RUNNING = "Connection_name", "Slave_SQL_Running"  # columns
STOP = "STOP SLAVE %s SQL_THREAD"
START = "START SLAVE %s SQL_THREAD"
#: beginnings of the names of channels that are not ours to stop
LEFT_ALONE: tuple[str, ...] = ()
