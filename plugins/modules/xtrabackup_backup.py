#!/usr/bin/python
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xtrabackup_backup
short_description: Take a hot physical backup of a MariaDB or MySQL server
version_added: 0.1.0
description:
  - Copies the data files of a running server while it writes, follows its redo log meanwhile, and takes the lightest
    locks that the server has (MariaDB's C(BACKUP STAGE), MySQL's C(LOCK INSTANCE FOR BACKUP)) for everything else.
    Records the coordinates in the binary log of exactly the instant that the backup shows once it is prepared.
  - The backup goes to a directory, to one archive in xbstream format, through a pipeline of commands, or over TLS or
    plain TCP straight to a receiver (M(innodb.xtrabackup.xbstream) with
    O(innodb.xtrabackup.xbstream#module:listen)).
  - A backup exists when its manifest exists. It is written last; whatever fails before leaves nothing behind.
  - Runs on the host of the server, as a user who may read its data files.
options:
  dest:
    description:
      - Where the backup is put, a directory or an archive as O(format) says. Missing parent directories are made.
      - A directory that is there and empty is filled where it is. It keeps its owner and mode, may be a mount point,
        and its parents need not be writable. Until the backup is complete, C(.xtrabackup_unfinished) in it says so, and
        no module takes it for a backup.
      - A complete backup that is there already is left alone, unless O(force=true).
      - Exactly one of O(dest) and O(stream_to) is needed.
    type: path
  format:
    description:
      - V(directory) keeps the files as they are in the data directory.
      - V(xbstream) packs them into one archive, which the stock C(mbstream) can unpack as well, unless O(sparse=true).
    type: str
    choices: [directory, xbstream]
    default: directory
  parallel:
    description:
      - How many files are copied at the same time.
    type: int
    default: 2
  throttle:
    description:
      - The most to read from the data files, per second, over the whole job; V(10MiB) for example. The redo log is
        always followed at full speed.
    type: str
  allow_missing_tables:
    description:
      - Tables, each as C(database.table), whose data file may be missing on the server. Without this, a backup of a
        server with such a table is refused.
      - The backup is then one without these tables' data, and says so in RV(backup.missing_tables) and in
        RV(backup.warnings). On a server that is restored from it, these tables exist and cannot be used, as on the
        source.
      - On MySQL, schema changes wait from the beginning to the end of such a backup, as with O(lock_ddl=on), since the
        server cannot tell what they have done.
    type: list
    elements: str
    default: []
  keyring_file:
    description:
      - For MySQL, the file of the server's C(component_keyring_file). With its keys, encrypted pages are verified as
        well as plain ones. Without it they are only known to be the right pages of the right tablespace.
      - A server with an encrypted redo log (C(innodb_redo_log_encrypt)) can only be backed up with it.
      - The keys are not put into the backup. Whoever prepares it needs them too.
    type: path
  spool_dir:
    description:
      - Directory for the redo log of a backup that goes to an archive or a stream, until the end of the backup; a
        slow receiver must not hold up the reading of the redo log. The file has no name and vanishes with the job.
    type: path
    default: /var/tmp
  digests:
    description:
      - Digests to compute of the archive while it is written or sent, for a comparison with what arrived; returned in
        RV(backup.digests). Not with O(format=directory) and O(dest).
      - V(xxh3) is XXH3 with 64 bits, as C(xxhsum -H3) prints it, V(xxh128) is that with 128 bits. They are fast, and
        protect from damage but not from malice.
      - With O(stream_to.tls), the receiver computes them too and compares them before it publishes anything. Over
        several connections, the digest is that of the connections' raw (binary) digests, one after the other in the
        order of the connections; M(innodb.xtrabackup.xbstream) returns the same.
    type: list
    elements: str
    choices: [sha256, sha512, sha1, md5, xxh3, xxh128]
    default: []
  sparse:
    description:
      - Leave the holes of page-compressed tables out of the archive or stream, in sparse chunks, which this collection
        and Percona's C(xbstream) read and MariaDB's C(mbstream) does not. Without it holes become zeros, of which
        unpacking makes holes again.
      - Not with O(compress) and O(encrypt), nor with O(dest) and O(format=directory), which keeps holes as they are.
    type: bool
    default: false
  progress_file:
    description:
      - File that tells how far the job is while it runs; M(innodb.xtrabackup.xtrabackup_info) reads it.
      - Beside it, under its name with C(.log) at the end, the job writes a log, which only its owner can read. It stays
        when the job fails or is killed.
    type: path
  force:
    description:
      - Take a new backup even if O(dest) holds one, complete or not; that one is removed once the new one is complete.
        What is no backup is never removed.
    type: bool
    default: false
extends_documentation_fragment:
  - innodb.xtrabackup.attributes
  - innodb.xtrabackup.attributes.login
  - innodb.xtrabackup.login
  - innodb.xtrabackup.stream_to
  - innodb.xtrabackup.file_digest
  - innodb.xtrabackup.locking
  - innodb.xtrabackup.compress
  - innodb.xtrabackup.encrypt
attributes:
  idempotent:
    support: partial
    details:
      - With O(dest), a complete backup is left alone. With O(stream_to) or O(force=true) each run takes a new one.
notes:
  - On MySQL, user tables of engines without transactions, if there are any, are locked (C(LOCK TABLES)) for as long as
    it takes to copy what of them has changed meanwhile. Only where that cannot be done, because one of them cannot be
    opened for example, all writes wait (C(FLUSH TABLES WITH READ LOCK)), and a warning says so.
  - On MySQL, the binary log is begun anew (C(FLUSH BINARY LOGS)) before the coordinates are taken, and the new file
    goes into the backup up to the recorded position. Recovery finds in it which prepared transactions are to be
    committed.
  - On MySQL, the server is asked to keep its redo log until it is read (C(innodb_redo_log_consumer_register)). If this
    host stops for longer than the server's log lasts, the server gives that up after 10 seconds. Where it cannot do
    that, because another session is what it waits for, it is asked to archive its redo log meanwhile. That needs
    C(innodb_redo_log_archive_dirs) and the privilege C(INNODB_REDO_LOG_ARCHIVE), and this host's user must be able to
    read the server's files there. The server removes the archive when the backup ends.
  - With C(innodb_flush_log_at_trx_commit=0), MariaDB writes its redo log only once in C(innodb_flush_log_at_timeout)
    seconds, and commits stay blocked until it has done so; with 1 and 2 they are blocked for milliseconds.
  - A redo log that holds less than the server writes while a lock is waited for, or while the host has no CPU time to
    spare, can be overwritten before it is read. The backup then fails at once and says how large the log should be.
seealso:
  - module: innodb.xtrabackup.xtrabackup_prepare
  - module: innodb.xtrabackup.xtrabackup_restore
  - module: innodb.xtrabackup.xbstream
author:
  - The innodb.xtrabackup authors (@innodb-xtrabackup)
"""

EXAMPLES = r"""
- name: Full backup into a directory
  innodb.xtrabackup.xtrabackup_backup:
    dest: /srv/backups/2026-11-21
    login_unix_socket: /run/mysqld/mysqld.sock
    login_user: backup
    login_password: "{{ vault_backup_password }}"
    parallel: 4
  register: taken

- name: Compressed, encrypted archive, throttled
  innodb.xtrabackup.xtrabackup_backup:
    dest: /srv/backups/full.xbstream
    format: xbstream
    compress: {algorithm: zstd, level: 3, threads: 4}
    encrypt: {algorithm: AES256, key_file: /etc/xtrabackup/key}
    throttle: 10MiB
    digests: [sha256]

- name: Archive without the holes of page-compressed tables, not to be read by mbstream
  innodb.xtrabackup.xtrabackup_backup:
    dest: /srv/backups/sparse.xbstream
    format: xbstream
    sparse: true

- name: Through commands, as in a shell pipeline, but without a shell
  innodb.xtrabackup.xtrabackup_backup:
    stream_to:
      command:
        - [pv, -q, -L, 10m]
        - [ssh, backup@vault, "cat > /data/backups/backup.xbstream"]

- name: Into "nc -l 4444 > full.xbstream" on a host of a trusted network, and compare what arrived
  innodb.xtrabackup.xtrabackup_backup:
    encrypt: {key_file: /etc/xtrabackup/key}
    digests: [sha256]
    stream_to: {tcp: {host: vault, port: 4444, timeout: 10m}}
  register: sent  # sent.backup.digests.sha256

- name: Straight into a waiting receiver
  innodb.xtrabackup.xtrabackup_backup:
    compress: {algorithm: zstd}
    stream_to: {tls: {host: replica1, port: 4444, credentials: /run/xtrabackup/sender.json}}
"""

RETURN = r"""
backup:
  description: The backup's record. The manifest holds the same.
  returned: when a backup was taken, or one was there already
  type: dict
  contains:
    id:
      description: Unique name of this backup.
      type: str
      sample: 5f0c3c0c-6a0e-4b77-8e0f-0f6f4a2f9c11
    type:
      description: Always V(full).
      type: str
    path:
      description: Where it is on this host; null for a stream.
      type: str
    server:
      description: Flavor, version, server_id and host name of the server.
      type: dict
    from_lsn:
      description: First LSN of the pages, 0 for a full backup.
      type: int
    to_lsn:
      description: The newest checkpoint in the backup; an incremental backup would start there.
      type: int
    last_lsn:
      description: Where the copied redo log ends; recovery must reach it.
      type: int
    binlog:
      description: >-
        File, position and GTID in the server's binary log, null when that is off. On MySQL, preparing replaces the
        GTID set by that of all transactions that the data then hold.
      type: dict
      sample: {file: binlog.000003, position: 4711, gtid: 0-1-815}
    replication:
      description: >-
        Where each replica channel of the server stood. C(exact) is false where a channel of MySQL without GTIDs was at
        work; then preparing finds the position in the data, if its workers commit in the order of the source and the
        account may read C(performance_schema.replication_applier_status_by_worker), or it is never used. Null in the
        record of a backup that the command line took with an account that may not read channels.
      type: list
      elements: dict
    log_replica_updates:
      description:
        - Whether the server's binary log gets what it replicates from others (MariaDB C(log_slave_updates), MySQL
          C(log_replica_updates)). Without it, a replica can replicate from that server's own source only.
      type: bool
    files:
      description: How many files.
      type: int
    bytes:
      description: Bytes read, and written before compression.
      type: dict
    seconds:
      description: How long it took.
      type: float
    mib_per_second:
      description: How fast.
      type: float
    redo:
      description: Bytes of redo that were copied, and the peak rate at which they came.
      type: dict
    locks:
      description: >-
        Milliseconds under each lock, and (C(_wait)) until it was granted.
        On MariaDB C(start), C(flush), C(block_ddl) and C(block_commit), on MySQL C(instance) and, if it was needed,
        C(tables).
      type: dict
      sample: {start: 5210.2, flush: 12.1, block_ddl: 34.0, block_commit: 18.9, block_commit_wait: 2.5}
    pages:
      description: >-
        How many pages were C(checked), and how many had to be read again (C(retried)). Of C(unverified) ones among
        them no checksum could be verified, because they are encrypted and O(keyring_file) was not given, or were
        written without one; those were read twice, and must have been the same.
      type: dict
      sample: {checked: 6400, retried: 2, unverified: 0}
    missing_tables:
      description: Tables without their data, because their files are missing on the server; see
        O(allow_missing_tables).
      returned: when there are any
      type: list
      elements: str
    digests:
      description: Digests of the archive or stream, as O(digests) says.
      type: dict
      sample: {sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
    manifest:
      description: The manifest, which stands for the whole backup.
      type: dict
      contains:
        path:
          description: Its path; null for a stream.
          type: str
        sha256:
          description: Its SHA-256, the same for a directory and an archive of the backup.
          type: str
    warnings:
      description: What to know about this backup.
      type: list
      elements: str
error:
  description: What failed, where, and what to do.
  returned: on failure
  type: dict
  sample:
    code: redo_overwritten
    message: the server overwrote redo log that was not read yet
    remedy: Make the redo log larger (innodb_log_file_size), or back up at a quieter time.
    details: {capacity: 50319360}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.destinations import registry
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.content_digest import OPTIONS
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import ConnectionParameters
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.throttle import Throttle
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.units import parse_duration, parse_size
from ansible_collections.innodb.xtrabackup.plugins.module_utils.module_support import (
    COMPRESS_OPTION,
    DIGESTS_OPTION,
    ENCRYPT_OPTION,
    FILE_DIGEST_OPTION,
    LOCKING_OPTIONS,
    LOGIN_OPTIONS,
    STREAM_TO_OPTION,
    Outcome,
    progress_of,
    run,
    warn,
)

_TOOL_VERSION = "0.1.0"


def _argument_spec() -> dict[str, Any]:
    return {
        **LOGIN_OPTIONS,
        "dest": {"type": "path"},
        "format": {"type": "str", "choices": ["directory", "xbstream"], "default": "directory"},
        "stream_to": STREAM_TO_OPTION,
        "compress": COMPRESS_OPTION,
        "encrypt": ENCRYPT_OPTION,
        "parallel": {"type": "int", "default": 2},
        "throttle": {"type": "str"},
        **LOCKING_OPTIONS,
        "allow_missing_tables": {"type": "list", "elements": "str", "default": []},
        "keyring_file": {"type": "path"},
        "spool_dir": {"type": "path", "default": "/var/tmp"},
        "digests": DIGESTS_OPTION,
        "file_digest": FILE_DIGEST_OPTION,
        "sparse": {"type": "bool", "default": False},
        "progress_file": {"type": "path"},
        "force": {"type": "bool", "default": False},
    }


def _backup_options(params: dict[str, Any]) -> job.BackupOptions:
    throttle = params["throttle"]
    return job.BackupOptions(
        connection=ConnectionParameters.from_options(params),
        tool_version=_TOOL_VERSION,
        parallel=params["parallel"],
        throttle=Throttle(parse_size(throttle, "throttle")) if throttle else None,
        lock_timeout=parse_duration(params["lock_timeout"], "lock_timeout"),
        lock_ddl=params["lock_ddl"],
        spool_directory=params["spool_dir"],
        compressed=params["compress"] is not None,
        encrypted=params["encrypt"] is not None,
        keyring_file=params["keyring_file"],
        allow_missing_tables=tuple(params["allow_missing_tables"]),
        safe_slave_backup=params["safe_slave_backup"],
        safe_slave_backup_timeout=parse_duration(params["safe_slave_backup_timeout"], "safe_slave_backup_timeout"),
        file_digest=OPTIONS[params["file_digest"]],
    )


def _backup(module: AnsibleModule) -> Outcome:
    params = module.params
    options = _backup_options(params)
    destination = registry.from_options(params)
    found = destination.existing()
    warn(module, destination.warnings())
    after = {"state": "present", **destination.describe()}
    before = {"state": "absent"} if found is None else after
    if found is not None and not params["force"]:
        return Outcome(False, before, before, {"backup": found})
    if module.check_mode:
        job.preflight(options)
        return Outcome(True, before, after)
    with progress_of("backup", params["progress_file"]) as progress:
        record = job.take_backup(options, destination.open(), progress)
    warn(module, record["warnings"])
    return Outcome(True, before, after, {"backup": record})


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=_argument_spec(),
        supports_check_mode=True,
        mutually_exclusive=[("dest", "stream_to")],
        required_one_of=[("dest", "stream_to")],
    )
    run(module, _backup)


if __name__ == "__main__":
    main()
