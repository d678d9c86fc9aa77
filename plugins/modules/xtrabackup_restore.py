#!/usr/bin/python
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xtrabackup_restore
short_description: Put a prepared backup in place as the data of this host's server
version_added: 0.1.0
description:
  - Copies or moves a prepared backup to where this host's server wants each kind of file. All of it is brought into
    staging places first; the data directory then appears with one rename, so it is complete or not there.
  - An archive is unpacked (decrypted and decompressed in the same pass) beside the data directory, on its file system,
    recovered there as M(innodb.xtrabackup.xtrabackup_prepare) does it, and moved into place. That one copy of the data
    is all that is written. An archive of a backup that was prepared already is not recovered again.
  - Leaves a marker in the data directory that names the backup and holds its record, so that the same request is no
    change later, and M(innodb.xtrabackup.xtrabackup_replica) finds the coordinates.
  - A run that was interrupted is taken up again by the next one.
  - What was done is remembered in C(/var/lib/xtrabackup), for each data directory. Markers in the data directory are
    for people and M(innodb.xtrabackup.xtrabackup_info); nothing is done, or taken as done, because of them.
  - Directories of other accounts in which root has to work belong to root for the time of the restore, and get their
    owner and permissions back at its end. After a kill, the next restore on this host gives them back.
  - Tablespaces of a MySQL server that were outside its data directory go back to where they were, if the server of this
    host looks for tablespaces there (C(innodb_directories)); with O(datadir) alone they are put into it.
  - Events come back as they are in the backup, enabled ones too, and fire as soon as a server runs on the data with its
    C(event_scheduler). For a replica, prepare the backup with
    O(innodb.xtrabackup.xtrabackup_prepare#module:disable_events) first (an archive into a directory), and restore that.
  - The server must be stopped. It is not started.
options:
  src:
    description:
      - A prepared backup, the directory that M(innodb.xtrabackup.xtrabackup_prepare) was used on; or an archive in
        xbstream format.
    type: path
    required: true
  datadir:
    description:
      - The data directory. Overrides that of O(defaults_file).
      - Without O(defaults_file), the usual option files of the host count only if this is their data directory, too.
        Otherwise they are another server's, and all files are put into O(datadir).
      - A symbolic link that only root can change means the directory that it leads to. Any other link is an error.
    type: path
  defaults_file:
    description:
      - The option file of the server, from which the places of its files are read (C(datadir),
        C(innodb_data_home_dir), C(innodb_data_file_path), C(innodb_log_group_home_dir), C(innodb_undo_directory),
        C(aria_log_dir_path), C(innodb_directories)), and what tells whether it runs (C(pid_file), C(socket)).
      - Without it and O(datadir), the usual option files of the host are read.
      - An option file that everybody can write to is an error, since servers ignore it.
      - What MySQL has persisted (C(mysqld-auto.cnf)) counts more, but names no place outside the data directory unless
        the option files name the same one.
    type: path
  method:
    description:
      - V(copy) leaves the backup as it is.
      - V(move) consumes it; it costs no space where both are on the same file system. A backup that was prepared by
        another tool has no manifest, and can only be copied.
      - An archive is never removed, whatever is said here.
    type: str
    choices: [copy, move]
    default: copy
  force:
    description:
      - Replace a data directory that holds something else, and files of its server that are elsewhere, binary logs
        included. They are set aside until the restored data is in place.
      - What does not look like a data directory is never replaced, nor is anything that another process has open, a
        table of another server above all (C(file_in_use)). Tablespaces in C(innodb_directories) that the replaced data
        do not know stay where they are, and a warning names them. When one has the place or the tablespace id of a
        file of the backup, the restore is refused.
      - What is in the data directory and belongs to the host is kept, with owner and permissions. RV(configuration)
        and the diff list it.
    type: bool
    default: false
  keep_replaced:
    description:
      - With O(force=true), keep what was replaced beside the new data, with a name that ends in C(.replaced-) and the
        time, instead of removing it. RV(replaced) lists it.
    type: bool
    default: false
  parallel:
    description:
      - How many files are copied or unpacked at the same time.
    type: int
    default: 2
  use_memory:
    description:
      - For an archive, the buffer pool of the recovering server, as a size (V(2G)) or as a share of the memory that is
        free (V(40%)).
      - With V(auto) it is made large enough for the backup's redo, within half of what is free on the host and in the
        control groups of this process.
    type: str
    default: auto
  server_program:
    description:
      - For an archive, the C(mariadbd) or C(mysqld) to recover with. C(mariadbd) must be of the series that the backup
        was taken from, or newer. C(mysqld) must be of that series, and not older than the source.
      - By default the one that is installed is found in E(PATH) and the usual places.
    type: path
  keyring_file:
    description:
      - For an archive of a MySQL server with encrypted tablespaces, undo or redo logs, the file of its
        C(component_keyring_file). It is only read. The server that is started on the restored data needs these keys,
        too.
    type: path
  timeout:
    description:
      - For an archive, how long the recovering server may neither write, read, compute nor say anything before that is
        an error. There is no limit on the time that recovery takes.
    type: str
    default: 10m
  progress_file:
    description:
      - File that tells how far the job is while it runs; M(innodb.xtrabackup.xtrabackup_info) reads it.
      - Beside it, under its name with C(.log) at the end, the job writes a log, which only its owner can read. It stays
        when the job fails or is killed.
    type: path
  owner:
    description:
      - The name of the user who is to own what is written, set while it is written.
      - Default is the C(user) of the option files, else the owner of the data directory that is there, else C(mysql)
        when run as root.
    type: str
  group:
    description:
      - The name of the group that is to own what is written. Default is the owner's own.
    type: str
  mode:
    description:
      - The permissions of the directories, as an octal number in quotes (V('0750')). Files in them get the same
        permissions without those to execute.
      - By default directories are V('0700') and files V('0660'), and a data directory that is there keeps its own,
        but for setuid and setgid where its owner or group changes.
    type: raw
  manifest_sha256:
    description:
      - The backup must be the one whose manifest has this digest, as M(innodb.xtrabackup.xtrabackup_backup) returns it
        (RV(innodb.xtrabackup.xtrabackup_backup#module:backup.manifest.sha256)), in hexadecimal. Any other is refused
        before anything is touched.
      - It is the same for a backup in a directory or in an archive, and stays the same when the backup is prepared by
        this user on this host, as long as no file is changed afterwards. A directory that was prepared elsewhere,
        copied or changed since is known by the digest of its own manifest only.
      - The digest of a prepared backup's own manifest
        (RV(innodb.xtrabackup.xtrabackup_prepare#module:backup.manifest.sha256)) is taken, too.
    type: str
  request:
    description:
      - The request that asks for this restore. The host remembers it in the marker of the restore, and
        M(innodb.xtrabackup.xtrabackup_info) returns it.
      - A request is carried out once. Afterwards it is no change, whatever the server has written since, and also when
        another restore has come after it, the backup being there or not.
      - A new request is carried out even if the data came from the same backup; O(force=true) is needed then.
    type: dict
    suboptions:
      id:
        description:
          - Its name. Letters, digits, dots, dashes and underscores.
        type: str
        required: true
      sha256:
        description:
          - Digest of its content. A request that was carried out with another digest is an error
            (C(request_changed)).
        type: str
        required: true
      created:
        description:
          - When it was written, in UTC, as in V(2026-11-28T10:00:00Z); not more than an hour in the future.
          - A request that was not carried out is refused (C(request_superseded)) on a host where one of the same time
            or a later one was.
        type: str
        required: true
      expires:
        description:
          - When it is too late to carry it out (C(request_expired)).
        type: str
  origin:
    description:
      - The backup that O(src) was prepared from, to be remembered with the request.
    type: path
  look_ahead:
    description:
      - Tell what a restore will do that a play is about to prepare. That the server will be stopped, and that O(origin)
        will be prepared as O(src), is taken for granted; everything else is checked as in the restore itself.
      - The diff holds the bytes of the data that are there and of those that will be.
      - Only in check mode. Give the task C(check_mode=true).
    type: bool
    default: false
extends_documentation_fragment:
  - innodb.xtrabackup.attributes
  - innodb.xtrabackup.attributes.local
  - innodb.xtrabackup.decrypt
requirements:
  - my_print_defaults (from the server's packages, unless O(datadir) is given alone)
  - for an archive, mariadbd or mysqld of the series that the backup was taken from, and the Python libraries crc32c and
    xxhash, for MySQL PyMySQL too (on the managed host)
notes:
  - C(auto.cnf), C(mysqld-auto.cnf), certificates, temporary tablespaces, pid files and sockets of a backup are never
    carried over.
  - Of the host, what follows is kept when it is in the data directory. Keyring files and their configuration
    (C(component_*.cnf), C(mysqld.my)), other keys and certificates, option files (C(*.cnf)), C(mysqld-auto.cnf) with
    the persisted variables, and every file that the option files name for keys, TLS, C(init_file) or
    C(ft_stopword_file). The host's C(auto.cnf) goes with the data, so that the server gets a new C(server_uuid).
  - Directories below the data directory that the option files name for logs, temporary files or keys are made. Their
    permissions are those that they had. They are no databases, neither here nor in a backup.
  - Events stay as they are in the backup. Those that are enabled run as soon as the restored server has its
    C(event_scheduler) on, which is the default of MySQL. Start it with C(event_scheduler=OFF) where they must not.
seealso:
  - module: innodb.xtrabackup.xtrabackup_prepare
  - module: innodb.xtrabackup.xtrabackup_replica
author:
  - The innodb.xtrabackup authors (@innodb-xtrabackup)
"""

EXAMPLES = r"""
- name: Put a prepared backup where this host's server looks for its data
  innodb.xtrabackup.xtrabackup_restore:
    src: /srv/restore/ready
    defaults_file: /etc/mysql/my.cnf
    method: move
    owner: mysql
    group: mysql

- name: Straight from an encrypted archive, replacing what is there
  innodb.xtrabackup.xtrabackup_restore:
    src: /srv/backups/full.xbstream
    decrypt: {key_file: /etc/xtrabackup/key}
    use_memory: 4G
    parallel: 4
    force: true

- name: Into a directory of its own, whatever the host's option files say
  innodb.xtrabackup.xtrabackup_restore:
    src: /srv/restore/ready
    datadir: /srv/mariadb/verify
    owner: mysql

- name: What a restore on request will do, before the server is stopped for it
  innodb.xtrabackup.xtrabackup_restore:
    src: /var/lib/mysql.requested
    origin: /srv/backups/full.xbstream
    manifest_sha256: 5b1c0dbd0d54a3c4c4ab0d1f2a8c2bb1b1a5a0e1f7a4a3c2b1a0918273645546
    request:
      id: 2026-11-28-shop
      sha256: 0f4b2c1d9e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c
      created: '2026-11-28T10:00:00Z'
    method: move
    force: true
    look_ahead: true
  check_mode: true

- name: Replace a broken replica's data, and keep the old data for a look
  innodb.xtrabackup.xtrabackup_restore:
    src: /srv/restore/ready
    force: true
    keep_replaced: true
"""

RETURN = r"""
backup:
  description: The record of the backup that is in place; RV(ignore:path) is the data directory.
  returned: on success, except in check mode when something would change
  type: dict
  contains:
    id:
      description: Unique name of the backup.
      type: str
    path:
      description: The data directory.
      type: str
      sample: /var/lib/mysql
    binlog:
      description: The source's binary log file, position and GTID at the instant that the data shows.
      type: dict
      sample: {file: binlog.000003, position: 4711, gtid: 0-1-815}
layout:
  description: Where each kind of file belongs on this host.
  returned: on success
  type: dict
  sample:
    datadir: /var/lib/mysql
    innodb_data_files: [/var/lib/mysql/ibdata1]
    innodb_log_group_home_dir: /fast/redo
    aria_log_dir_path: /var/lib/mysql
files:
  description: How many files were put in place. In check mode those that would be.
  returned: when something was restored
  type: int
bytes:
  description: How many bytes they have.
  returned: when something was restored
  type: int
unfinished:
  description: Whether an interrupted run of this very restore will be taken up again.
  returned: with O(look_ahead=true)
  type: bool
carried_out:
  description: How O(request) was carried out on this host; null when it was not yet.
  returned: in check mode, and when nothing was to be done, with O(request)
  type: dict
  sample:
    id: 2026-11-28-shop
    sha256: 0f4b2c1d9e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c
    created: '2026-11-28T10:00:00Z'
    backup: /srv/backups/full.xbstream
    manifest_sha256: 5b1c0dbd0d54a3c4c4ab0d1f2a8c2bb1b1a5a0e1f7a4a3c2b1a0918273645546
    finished_at: '2026-11-28T10:12:43Z'
seconds:
  description: How long it took.
  returned: when something was restored
  type: float
recovery:
  description: What the recovery of an archive did.
  returned: when an archive was unpacked and recovered
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
    seconds:
      description: How long the server took.
      type: float
    server_version:
      description: The version of the server that recovered the backup.
      type: str
replaced:
  description: Where the data that was there before is kept, with O(keep_replaced=true).
  returned: when something was restored
  type: list
  elements: str
configuration:
  description:
    - The files of the host itself that were in the data directory that was replaced, by their paths in it.
    - In check mode those that would be kept and dropped.
  returned: when something was restored
  type: dict
  contains:
    kept:
      description: Keys, certificates and configuration.
      type: list
      elements: str
      sample: [component_keyring_file.cnf, mysqld-auto.cnf, server-key.pem]
    dropped:
      description: What goes with the data, which is the server's C(auto.cnf).
      type: list
      elements: str
error:
  description: What failed, where, and what to do.
  returned: on failure
  type: dict
  sample:
    code: server_running
    message: "a server is running on /var/lib/mysql: process 4711 holds a lock on aria_log_control"
    remedy: Stop the server first.
    details: {path: /var/lib/mysql, pid: 4711}
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.engine.errors import InvalidOption
from ..module_utils.engine.host.held import give_back_after_kill
from ..module_utils.engine.host.ownership import resolve_ownership
from ..module_utils.engine.recovery.prepare import PrepareOptions
from ..module_utils.engine.restore.layout import HostLayout
from ..module_utils.engine.restore.place import restore
from ..module_utils.engine.restore.plan import RestoreOptions, RestorePlan, plan_restore
from ..module_utils.engine.restore.preview import preview
from ..module_utils.engine.restore.request import manifest_digest_from_option, request_from_options
from ..module_utils.engine.restore.source import layout_for
from ..module_utils.engine.sources.registry import source_at
from ..module_utils.engine.stream.cipher import read_key_file
from ..module_utils.engine.units import parse_duration
from ..module_utils.module_support import DECRYPT_OPTION, OWNER_OPTIONS, Outcome, progress_of, run, warn


def _argument_spec() -> dict[str, Any]:
    return {
        **OWNER_OPTIONS,
        "src": {"type": "path", "required": True},
        "datadir": {"type": "path"},
        "defaults_file": {"type": "path"},
        "method": {"type": "str", "choices": ["copy", "move"], "default": "copy"},
        "force": {"type": "bool", "default": False},
        "keep_replaced": {"type": "bool", "default": False},
        "parallel": {"type": "int", "default": 2},
        "decrypt": DECRYPT_OPTION,
        "use_memory": {"type": "str", "default": "auto"},
        "server_program": {"type": "path"},
        # a path is no secret
        "keyring_file": {"type": "path", "no_log": False},
        "timeout": {"type": "str", "default": "10m"},
        "progress_file": {"type": "path"},
        "manifest_sha256": {"type": "str"},
        "request": {
            "type": "dict",
            "options": {
                "id": {"type": "str", "required": True},
                "sha256": {"type": "str", "required": True},
                "created": {"type": "str", "required": True},
                "expires": {"type": "str"},
            },
        },
        "origin": {"type": "path"},
        "look_ahead": {"type": "bool", "default": False},
    }


def _path(value: str | None) -> Path | None:
    return Path(value) if value else None


def _options(params: dict[str, Any], layout: HostLayout) -> RestoreOptions:
    ownership, top_mode = resolve_ownership(
        layout.datadir, layout.user, params["owner"], params["group"], params["mode"]
    )
    return RestoreOptions(
        method=params["method"],
        ownership=ownership,
        top_mode=top_mode,
        force=params["force"],
        keep_replaced=params["keep_replaced"],
        parallel=params["parallel"],
        recovery=PrepareOptions(
            use_memory=params["use_memory"],
            decrypt_key=read_key_file(params["decrypt"]["key_file"]) if params["decrypt"] else None,
            server_program=params["server_program"],
            stall_timeout=parse_duration(params["timeout"], "timeout"),
            keyring_file=params["keyring_file"],
        ),
        manifest_sha256=manifest_digest_from_option(params["manifest_sha256"]) if params["manifest_sha256"] else "",
        request=request_from_options(params["request"]) if params["request"] else None,
        origin=_path(params["origin"]),
        preview=params["look_ahead"],
    )


def _prediction(planned: RestorePlan, options: RestoreOptions, answer: dict[str, Any]) -> Outcome:
    """Returns the result of check mode, and a run for which there is nothing to do."""
    if planned.changed:
        answer.update(files=len(planned.placements), bytes=planned.bytes)
        answer["configuration"] = {"kept": list(planned.replaced.kept), "dropped": list(planned.replaced.dropped)}
    else:
        answer["backup"] = {**planned.record, "path": str(planned.layout.datadir)}
    if options.request is not None:
        answer["carried_out"] = asdict(planned.carried_out) if planned.carried_out else None
    if not options.preview:
        return Outcome(planned.changed, planned.before, planned.after, answer)
    answer["unfinished"] = planned.unfinished is not None
    return Outcome(planned.changed, *preview(planned, options), answer)


def _restore(module: AnsibleModule) -> Outcome:
    params = module.params
    if params["look_ahead"] and not module.check_mode:
        remedy = "Give the task check_mode: true."
        raise InvalidOption("look_ahead: this is not check mode", remedy=remedy, option="look_ahead")
    defaults_file, datadir, source = _path(params["defaults_file"]), _path(params["datadir"]), params["src"]
    original = source if source_at(source).is_there() or not params["origin"] else params["origin"]
    layout = layout_for(original, defaults_file, datadir, params["server_program"])
    options = _options(params, layout)
    planned = plan_restore(source, layout, options)
    answer: dict[str, Any] = {"layout": layout.as_dict()}
    if not planned.changed and not module.check_mode:
        give_back_after_kill()
    if not planned.changed or module.check_mode:
        return _prediction(planned, options, answer)
    with progress_of("restore", params["progress_file"]) as progress:
        result = restore(planned, options, progress)
    warn(module, result.warnings)
    answer.update(
        backup={**result.record, "path": str(layout.datadir)},
        files=result.files,
        bytes=result.bytes,
        seconds=result.seconds,
        replaced=result.replaced,
        configuration={"kept": result.kept, "dropped": result.dropped},
    )
    if result.recovery is not None:
        answer["recovery"] = result.recovery.as_dict()
    return Outcome(result.changed, planned.before, planned.after, answer)


def main() -> None:
    """Run the module."""
    run(AnsibleModule(argument_spec=_argument_spec(), supports_check_mode=True), _restore)


if __name__ == "__main__":
    main()
