#!/usr/bin/python
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xtrabackup_prepare
short_description: Make a physical backup consistent, so that a server can be started on it
version_added: 0.1.0
description:
  - Recovers the files of a backup with the redo log that was copied with them, and rolls back what had not committed.
    Afterwards the backup shows exactly the instant that its coordinates name.
  - Recovery is done by the installed server itself, run over the directory without network, socket or option files,
    and ended cleanly when nothing is left to do. That recovery really reached the end of the backup's redo log is
    proven, or the module fails.
  - With O(target_dir) the backup is only read, and the prepared copy appears complete or not at all. Without it the
    backup is prepared in place; a run that was interrupted is taken up again by the next one.
  - A directory that the stock C(mariadb-backup) or C(xtrabackup) made is accepted as well, with a warning, since it has
    no manifest.
  - In a backup of MySQL or Percona Server, transactions that were prepared are committed if they are in the binary log,
    as after a crash, and the GTID set of the coordinates becomes the one that the recovered data really holds. The
    binary log and the redo log are not needed after that, and are removed.
options:
  src:
    description:
      - The backup on this host, a directory or an archive in xbstream format. An archive needs O(target_dir).
      - What the manifest says about the files, and their content, is checked first.
    type: path
    required: true
  target_dir:
    description:
      - Directory for the prepared copy. It must be absent or empty, unless O(force=true). One that is there and empty
        keeps its owner and mode, and may be a mount point.
      - By default the backup is prepared in place. All its files are read and compared with the manifest before
        recovery changes them.
    type: path
  use_memory:
    description:
      - Buffer pool of the recovering server, as a size (V(2G)) or as a share of the memory that is free (V(40%)).
      - With V(auto) it is made large enough for the backup's redo, within half of what is free on the host and in the
        control groups of this process.
    type: str
    default: auto
  parallel:
    description:
      - How many files are copied or unpacked at the same time.
    type: int
    default: 2
  server_program:
    description:
      - The C(mariadbd) or C(mysqld) to recover with. C(mariadbd) must be of the series that the backup was taken from,
        or newer. C(mysqld) must be of that series, and not older than the source.
      - By default the one that is installed is found in E(PATH) and the usual places.
    type: path
  keyring_file:
    description:
      - File of MySQL's C(component_keyring_file) with the keys of the server that the backup was taken from. Needed for
        encrypted tablespaces, undo and redo logs. It is only read.
    type: path
  disable_events:
    description:
      - For data that are to become a replica's, give every event that is enabled the state that an event has on a
        replica (MariaDB C(SLAVESIDE_DISABLED), MySQL C(REPLICA_SIDE_DISABLED)), before any server can fire it. What an
        event does on the source arrives by replication; an event that fires on the replica as well changes its data.
      - Nothing else of an event is changed. After a promotion of the replica, C(ALTER EVENT ... ENABLE) brings each of
        them back; RV(recovery.events_disabled) names them.
      - By default events stay as they are, and fire on the server that the backup is restored to as soon as its
        C(event_scheduler) runs.
    type: bool
    default: false
  timeout:
    description:
      - How long the recovering server may neither write, read, compute nor say anything before that is an error.
        There is no limit on the time that recovery takes.
    type: str
    default: 10m
  progress_file:
    description:
      - File that tells how far the job is while it runs; M(innodb.xtrabackup.xtrabackup_info) reads it.
      - Beside it, under its name with C(.log) at the end, the job writes a log, which only its owner can read. It stays
        when the job fails or is killed.
    type: path
  force:
    description:
      - Replace the backup that O(target_dir) holds, once the prepared copy is complete. Anything that is no backup is
        an error still.
    type: bool
    default: false
extends_documentation_fragment:
  - innodb.xtrabackup.attributes
  - innodb.xtrabackup.attributes.local
  - innodb.xtrabackup.decrypt
requirements:
  - mariadbd or mysqld, of the series that the backup was taken from (on the managed host)
  - for MySQL, PyMySQL (Python library on the managed host)
  - crc32c (Python library on the managed host)
  - xxhash (Python library on the managed host)
seealso:
  - module: innodb.xtrabackup.xtrabackup_backup
  - module: innodb.xtrabackup.xtrabackup_restore
author:
  - The innodb.xtrabackup authors (@innodb-xtrabackup)
"""

EXAMPLES = r"""
- name: Prepare a backup in place
  innodb.xtrabackup.xtrabackup_prepare:
    src: /srv/restore/full

- name: Make a prepared copy and leave the backup as it is
  innodb.xtrabackup.xtrabackup_prepare:
    src: /srv/backups/2026-11-21
    target_dir: /srv/restore/ready
    use_memory: 4G

- name: Unpack, decrypt and prepare an archive
  innodb.xtrabackup.xtrabackup_prepare:
    src: /srv/backups/full.xbstream
    target_dir: /srv/restore/ready
    decrypt: {key_file: /etc/xtrabackup/key}
    parallel: 4

- name: Prepare a backup of MySQL with encrypted tablespaces
  innodb.xtrabackup.xtrabackup_prepare:
    src: /srv/restore/full
    keyring_file: /etc/mysql/component_keyring_file

- name: Prepare a backup for a new replica
  innodb.xtrabackup.xtrabackup_prepare:
    src: /srv/restore/full
    disable_events: true

- name: Recover with the server that was installed beside the packaged one
  innodb.xtrabackup.xtrabackup_prepare:
    src: /srv/restore/full
    server_program: /opt/mariadb-11.4/bin/mariadbd
"""

RETURN = r"""
backup:
  description:
    - The backup's record, as M(innodb.xtrabackup.xtrabackup_backup) returns it, with RV(ignore:state) V(prepared) and
      RV(ignore:path) of the prepared directory. Its RV(ignore:id) and coordinates stay; of MySQL, the GTIDs are those
      of the recovered data.
  returned: on success, except in check mode when something would change
  type: dict
  contains:
    id:
      description: Unique name of the backup.
      type: str
      sample: 5f0c3c0c-6a0e-4b77-8e0f-0f6f4a2f9c11
    path:
      description: The prepared directory.
      type: str
      sample: /srv/restore/ready
    state:
      description: Always V(prepared).
      type: str
    manifest:
      description:
        - The manifest of the prepared backup.
      returned: unless another tool has prepared it
      type: dict
      contains:
        path:
          description: Its file.
          type: str
          sample: /srv/restore/ready/xtrabackup_manifest.json
        sha256:
          description:
            - Its digest. On another host, and after the backup was copied, it is what names the backup, see
              O(innodb.xtrabackup.xtrabackup_restore#module:manifest_sha256).
          type: str
          sample: 0f4b2c1d9e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c
    prepared:
      description:
        - How it was prepared. C(source_sha256) names the backup that it was prepared from. Where that is not proven, as
          this user has not prepared it on this host or files were changed since, it is the digest of its own manifest.
      type: dict
      sample:
        server_version: 10.11.19-MariaDB
        recovered_lsn: 81016843
        rolled_back: 2
        prepared_transactions: 0
        use_memory: 455.0 MiB
        seconds: 1.53
        source_sha256: 6e0c2a55a0d4b1c9a6b0d4e6f0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3
recovery:
  description: What recovery did.
  returned: when something was prepared
  type: dict
  contains:
    recovered_lsn:
      description: Where the redo log that was applied ended, at or after the backup's RV(ignore:last_lsn).
      type: int
    rolled_back:
      description: How many transactions had not committed and were rolled back.
      type: int
    prepared_transactions:
      description: How many XA transactions are prepared and wait for a decision.
      type: int
    gtid_executed:
      description: The GTIDs of the recovered data.
      returned: for backups of MySQL and Percona Server
      type: str
    events_disabled:
      description: The events that were enabled and are disabled on a replica now, each as C(database.event).
      returned: with O(disable_events=true)
      type: list
      elements: str
      sample: [shop.purge_carts]
    seconds:
      description: How long the server took.
      type: float
    server_version:
      description: The version of the server that recovered the backup.
      type: str
phases:
  description: Seconds in each phase.
  returned: when something was prepared
  type: dict
  sample: {copying: 0.4, reading redo: 0.2, applying redo: 0.5, rolling back: 0.6, shutting down: 0.3}
error:
  description: What failed, where, and what to do.
  returned: on failure
  type: dict
  sample:
    code: recovery_incomplete
    message: the redo log in /srv/restore/full ends at LSN 4711, and the backup reaches to LSN 4815
    remedy: "The backup's redo log is damaged or incomplete: use another copy of the backup."
    details: {found_lsn: 4711, last_lsn: 4815}
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.engine.recovery.prepare import PrepareOptions, plan, prepare
from ..module_utils.engine.stream.cipher import read_key_file
from ..module_utils.engine.units import parse_duration
from ..module_utils.module_support import DECRYPT_OPTION, Outcome, progress_of, run, warn


def _argument_spec() -> dict[str, Any]:
    return {
        "src": {"type": "path", "required": True},
        "target_dir": {"type": "path"},
        "use_memory": {"type": "str", "default": "auto"},
        "decrypt": DECRYPT_OPTION,
        "parallel": {"type": "int", "default": 2},
        "server_program": {"type": "path"},
        # a path is no secret
        "keyring_file": {"type": "path", "no_log": False},
        "timeout": {"type": "str", "default": "10m"},
        "progress_file": {"type": "path"},
        "force": {"type": "bool", "default": False},
        "disable_events": {"type": "bool", "default": False},
    }


def _prepare(module: AnsibleModule) -> Outcome:
    params = module.params
    options = PrepareOptions(
        use_memory=params["use_memory"],
        decrypt_key=read_key_file(params["decrypt"]["key_file"]) if params["decrypt"] else None,
        parallel=params["parallel"],
        server_program=params["server_program"],
        force=params["force"],
        keyring_file=params["keyring_file"],
        stall_timeout=parse_duration(params["timeout"], "timeout"),
        disable_events=params["disable_events"],
    )
    target = Path(params["target_dir"]) if params["target_dir"] else None
    planned = plan(params["src"], target, options)
    if module.check_mode and planned.changed:
        return Outcome(True, planned.before, planned.after)
    with progress_of("prepare", params["progress_file"]) as progress:
        result = prepare(params["src"], target, options, progress)
        phases = progress.snapshot()["phases"]
    warn(module, result.warnings)
    answer: dict[str, Any] = {"backup": result.record}
    if result.report is not None:
        answer["recovery"] = result.report.as_dict()
        answer["phases"] = phases
    return Outcome(result.changed, planned.before, planned.after, answer)


def main() -> None:
    """Run the module."""
    run(AnsibleModule(argument_spec=_argument_spec(), supports_check_mode=True), _prepare)


if __name__ == "__main__":
    main()
