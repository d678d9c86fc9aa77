# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements that read, stop and start the SQL threads of a MySQL server."""

from __future__ import annotations

from .coordinates import GROUP_CHANNELS

STATUS = "SHOW REPLICA STATUS"
NAME, RUNNING = "Channel_Name", "Replica_SQL_Running"  # columns
STOP = "STOP REPLICA SQL_THREAD FOR CHANNEL %s"
START = "START REPLICA SQL_THREAD FOR CHANNEL %s"
#: beginnings of the names of channels that are not ours to stop
LEFT_ALONE: tuple[str, ...] = (GROUP_CHANNELS,)
