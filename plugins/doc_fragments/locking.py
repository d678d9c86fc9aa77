# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options for the locks of a backup: module_support.LOCKING_OPTIONS."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  lock_ddl:
    description:
      - With V(reduced), schema changes may go on while InnoDB's files are copied; whatever they changed is copied
        again under the lock.
      - With V(on), they wait from the beginning to the end of the backup; on MariaDB, so do writes to
        non-transactional tables.
    type: str
    choices: [reduced, 'on']
    default: reduced
  lock_timeout:
    description:
      - How long to wait for each lock. At the deadline all locks are released at once, and the failure names the
        queries that were in the way.
    type: str
    default: 60s
  safe_slave_backup:
    description:
      - If the server is itself a replica, stop the SQL threads of all its channels for the instant of the backup, while
        no temporary table of statement-based replication is open. Then the position of every channel in the binary log
        of its source is exact, also without GTIDs; see RV(backup.replication). They are stopped from when InnoDB's
        files have been copied until the locks are released, with O(lock_ddl=on) during the whole backup.
      - They are started again however the backup ends. If its process is killed, a small process that was started
        before does it. What ends both at once (the end of the host, or SIGKILL to a whole service) leaves them stopped
        until C(START REPLICA SQL_THREAD), or the next start of the server.
      - Needs C(REPLICATION_SLAVE_ADMIN) (MariaDB C(REPLICATION SLAVE ADMIN)). C(START REPLICA UNTIL) is refused.
    type: bool
    default: false
  safe_slave_backup_timeout:
    description:
      - How long their transactions and temporary tables may take; then they go on, and the backup fails.
    type: str
    default: 300s
"""
