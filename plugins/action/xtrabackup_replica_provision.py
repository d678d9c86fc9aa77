# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module xtrabackup_replica_provision as a job, from the code that is kept on the host."""

from __future__ import annotations

from ansible_collections.innodb.xtrabackup.plugins.plugin_utils.remote_engine import JobAction


class ActionModule(JobAction):
    """The action xtrabackup_replica_provision."""
