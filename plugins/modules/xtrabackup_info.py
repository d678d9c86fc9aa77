#!/usr/bin/python
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about backups, data directories, servers and running jobs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: xtrabackup_info
short_description: Facts about a backup, a data directory, a server, or a running job
version_added: 0.1.0
description:
  - Tells what is at a place (O(src)), which backup it is or was restored from, and whether it can be used.
  - Tells whether a server can be backed up, and why not; what privileges the account lacks; where the server stands in
    its binary log; and how its replication channels are.
  - Tells how far a running job is (O(progress_file)).
  - Tells everything about a host that may become a replica, in one run (O(host)). Its data directory is O(src), and its
    socket is that of the login, where they are given. With O(login_user), the server is asked as well, as with
    O(server_optional=true), and the journal of the role P(innodb.xtrabackup.replica#role) is read. Without it, RV(host)
    is all that is returned.
  - Changes nothing.
author:
  - The innodb.xtrabackup authors (@innodb-xtrabackup)
extends_documentation_fragment:
  - innodb.xtrabackup.attributes
  - innodb.xtrabackup.attributes.login
  - innodb.xtrabackup.login
  - innodb.xtrabackup.host
options:
  src:
    description:
      - A backup directory, an archive in xbstream format, or a data directory. It need not exist.
      - The payload of an archive is not read. M(innodb.xtrabackup.xbstream) with
        O(innodb.xtrabackup.xbstream#module:state=verified) does that.
    type: path
  progress_file:
    description: The progress file of a job, as given to the module that runs it.
    type: path
  server_optional:
    description:
      - A server that cannot be reached with the given login is not a failure; RV(server) is null then and
        RV(server_error) says why.
      - Where no login option is given, the server at the default socket is looked at if it can be reached, and this
        makes no difference.
    type: bool
    default: false
  data_size:
    description:
      - Also count the bytes of the server's data files (RV(server.data_bytes)). Not with O(host).
    type: bool
    default: false
    version_added: 0.1.0
seealso:
  - module: innodb.xtrabackup.xtrabackup_backup
  - module: innodb.xtrabackup.xtrabackup_restore
  - module: innodb.xtrabackup.xtrabackup_replica
"""

EXAMPLES = r"""
- name: What is this archive, and is it complete
  innodb.xtrabackup.xtrabackup_info:
    src: /srv/backups/full.xbstream
  register: archive

- name: Can this server be backed up by this account
  innodb.xtrabackup.xtrabackup_info:
    login_unix_socket: /run/mysqld/mysqld.sock
    login_user: backup
    login_password: "{{ vault_backup_password }}"
  register: primary
  failed_when: not primary.server.supported or primary.server.privileges_missing | length > 0

- name: Is this data directory ours, and does the server on it replicate
  innodb.xtrabackup.xtrabackup_info:
    src: /var/lib/mysql
    login_unix_socket: /run/mysqld/mysqld.sock
    server_optional: true
  register: replica

- name: How far is the backup
  innodb.xtrabackup.xtrabackup_info:
    progress_file: /run/xtrabackup/backup.json
  register: running
  until: not running.job or not running.job.alive
  retries: 360
  delay: 10
"""

RETURN = r"""
source:
  description: What is at O(src).
  returned: when O(src) is given
  type: dict
  contains:
    kind:
      description: V(backup), V(archive), V(datadir), V(empty) (a directory), V(absent) or V(other).
      type: str
      sample: archive
    path:
      description: The place.
      type: str
    complete:
      description: Whether it can be used. Of a backup, an archive or a data directory.
      type: bool
    problem:
      description: Why it cannot be used, else null.
      type: str
    state:
      description:
        - V(copied), V(prepared), or V(partial) where only a selection of a backup was unpacked. Of a backup or an
          archive.
      type: str
    restored:
      description:
        - Whether its marker (C(xtrabackup_restored.json)) says that this collection restored it. Of a data directory.
        - The server's account can write that marker; see RV(source.proven).
      type: bool
    proven:
      description:
        - Whether this host itself remembers that restore, for the user who runs this module. Only then it counts as
          done. Of a data directory.
      type: bool
      version_added: 0.1.0
    id:
      description: Id of the backup, from its manifest.
      type: str
    files:
      description: Number of files in the manifest.
      type: int
    bytes:
      description: Bytes of those files, unpacked.
      type: int
    stored_bytes:
      description: Size of the archive.
      type: int
    encrypted:
      description: Whether the files in the archive are encrypted.
      type: bool
    manifest_sha256:
      description: Digest of the manifest. Of a backup directory.
      type: str
    file_digest:
      description:
        - The digest by which the manifest names the content of files, as
          O(innodb.xtrabackup.xtrabackup_backup#module:file_digest). Of a backup or an archive.
      type: str
      sample: xxh128
    source_sha256:
      description:
        - What names the backup, in a directory or an archive, prepared (on this host, by this user, and not changed
          since) or not. Of other prepared backups it is the digest of their own manifest. It is the
          RV(innodb.xtrabackup.xtrabackup_backup#module:backup.manifest.sha256) that
          M(innodb.xtrabackup.xtrabackup_backup) returned. Of a backup, an archive, or a data directory, null if
          that was not restored.
      type: str
    request:
      description: The restore request that the data come from, null where there was no request. Of a data directory.
      type: dict
      contains:
        id:
          description: Its name.
          type: str
          sample: 2026-11-28-shop
        sha256:
          description: Digest of its content.
          type: str
        created:
          description: When it was written.
          type: str
          sample: '2026-11-28T10:00:00Z'
        backup:
          description: Where the backup was.
          type: str
          sample: /srv/backups/full.xbstream
        manifest_sha256:
          description: Which backup it was.
          type: str
        finished_at:
          description: When the backup was in place.
          type: str
          sample: '2026-11-28T10:12:43Z'
    requests:
      description:
        - All requests that were carried out here, oldest first, those included whose data were replaced since. Of a
          data directory.
      type: list
      elements: dict
    partial:
      description: Whether an unfinished job has left something at the place or beside it, or is at work.
      type: bool
user_data:
  description:
    - Whether the data directory O(src) holds anything that is not its server's own, by its files (every entry is
      counted) and by the running server. What nobody knows to be the server's own is a user's. Accounts do not count.
  returned: when O(src) is a data directory
  type: dict
  contains:
    state:
      description:
        - V(none) if both the files and the running server were asked and have shown nothing, V(found), or V(unknown)
          if nothing was found and something could not be asked.
      type: str
      sample: found
    running:
      description: Whether a server runs on the directory.
      type: bool
    databases:
      description: The databases, by the names of the server or of the directory's entries.
      type: list
      elements: str
      sample: [crm]
    objects:
      description: What else there is that is not the server's own.
      type: list
      elements: str
      sample: [table mysql.notes]
    unknown:
      description: What could not be asked, and why.
      type: list
      elements: str
backup:
  description: The record of the backup in O(src), or of the one that it was restored from; null where there is none.
  returned: when O(src) is given
  type: dict
  sample:
    id: 5f0c3c0c-6a0e-4b77-8e0f-0f6f4a2f9c11
    type: full
    last_lsn: 61580
    binlog: {file: binlog.000003, position: 4711, gtid: 0-1-815}
server:
  description: The server; null where none was reached.
  returned: success
  type: dict
  contains:
    flavor:
      description: V(mariadb), V(mysql) or V(percona).
      type: str
    version:
      description: The version as the server says it.
      type: str
      sample: 10.11.19-MariaDB-0+deb12u1-log
    supported:
      description: Whether this collection can back it up.
      type: bool
    refusal:
      description: Why it cannot, else null.
      type: str
    privileges_missing:
      description: Privileges that the account lacks for a backup; one on a single table is given with its name.
      type: list
      elements: str
      sample: [BINLOG MONITOR]
    privileges_missing_on_read_only:
      description:
        - The privileges on C(*.*) that this account lacks to make a replica of a server with C(read_only=ON).
      type: list
      elements: str
      sample: [READ_ONLY ADMIN]
    privileges_missing_for_replication:
      description: Privileges that the account lacks for M(innodb.xtrabackup.xtrabackup_replica).
      type: list
      elements: str
    user_databases:
      description: Databases that are not the server's own, of those that the account may see.
      type: list
      elements: str
    datadir:
      description: The data directory.
      type: str
    server_id:
      description: The server's id in replication.
      type: int
    log_bin:
      description: Whether the binary log is on.
      type: bool
    log_replica_updates:
      description:
        - Whether the binary log gets what the server replicates from others (MariaDB C(log_slave_updates), MySQL
          C(log_replica_updates)).
      type: bool
    binlog:
      description: File, position and GTID at this instant; null when the binary log is off or may not be seen.
      type: dict
    gtid:
      description: The server's GTID position (MariaDB, C(gtid_current_pos)) or set (MySQL, C(gtid_executed)).
      type: str
      sample: 0-1-4711
    gtid_mode:
      description: MySQL's C(gtid_mode), empty for MariaDB.
      type: str
      sample: 'ON'
    data_bytes:
      description:
        - Bytes of the data files that a backup would copy, as far as the user of this task sees them. Null when the
          server does not run on this host.
      returned: with O(data_size=true)
      type: int
      version_added: 0.1.0
    data_file_sizes:
      description: Bytes of each file in C(innodb_data_file_path), as it says.
      type: list
      elements: int
      version_added: 0.1.0
    innodb_page_size:
      description: Bytes of a page of InnoDB.
      type: int
      version_added: 0.1.0
    lower_case_table_names:
      description: The variable of that name.
      type: int
      version_added: 0.1.0
    innodb_redo_log_capacity:
      description: Bytes that MySQL's redo log may have, 0 for MariaDB.
      type: int
    read_only:
      description: Whether the server is read-only.
      type: bool
    galera:
      description: Whether the server is a node of a Galera cluster.
      type: bool
host:
  description: The server that is installed.
  returned: when O(host) is given
  type: dict
  contains:
    installed:
      description: Whether there is one.
      type: bool
    flavor:
      description: V(mariadb) or V(mysql).
      type: str
    version:
      description: Its version, empty where none is installed.
      type: str
      sample: 10.11.19
    options:
      description: What its option files say of C(datadir), C(gtid_mode), C(server_id) and C(socket).
      type: dict
    datadir:
      description: Its data directory.
      type: str
    socket:
      description: Its socket.
      type: str
    running:
      description: Whether a server runs on the data directory.
      type: bool
    answers:
      description: Whether it greets who connects to the socket.
      type: bool
    pid:
      description: Its process, null when it does not run.
      type: int
    service:
      description: Its service.
      type: str
    service_known:
      description: Whether the service manager knows that service, null when nobody can be asked.
      type: bool
    service_datadir:
      description: The data directory of the server that the service runs, empty when it runs none, or null.
      type: str
    missing_files:
      description: Those of O(host.files) that are not there.
      type: list
      elements: str
administrator:
  description: RV(server), RV(replication) and RV(user_data) as O(host.admin_user) sees them.
  returned: when O(host) is given and O(login_user) could not see everything
  type: dict
journal:
  description: The journal of a run of the role P(innodb.xtrabackup.replica#role) that was interrupted.
  returned: when O(host) and O(login_user) are given
  type: dict
  contains:
    exists:
      description: Whether there is one.
      type: bool
    record:
      description: What it says.
      type: dict
source_login:
  description: The answer to the login of O(host.source).
  returned: when O(host.source) and O(login_user) are given
  type: dict
  contains:
    state:
      description: V(accepted), V(refused), or V(unknown) where only the server itself can know.
      type: str
    server_id:
      description: C(server_id) of the server that has answered.
      returned: when it was accepted
      type: int
    server_uuid:
      description: Its C(server_uuid), empty on MariaDB.
      returned: when it was accepted
      type: str
    error:
      description: Why it was not accepted.
      type: dict
replica_job:
  description: The job of the role P(innodb.xtrabackup.replica#role) on this host.
  returned: when O(host.job) and O(login_user) are given
  type: dict
  contains:
    alive:
      description: Whether it goes on.
      type: bool
    phase:
      description: What it is doing, empty when it does not go on.
      type: str
    id:
      description: Its name. When it goes on.
      type: str
      version_added: 0.1.0
    pid:
      description: Its process. When it goes on.
      type: int
      version_added: 0.1.0
    code:
      description:
        - The digest of the code that it runs, by which another version of this collection is known. When it goes on.
      type: str
      version_added: 0.1.0
incoming:
  description: The place where a backup arrives.
  returned: when O(host) and O(login_user) are given
  type: dict
  contains:
    path:
      description: The place.
      type: str
    overlap:
      description: Whether it and the data directory are one inside the other.
      type: bool
    source:
      description: What is there, as RV(source). Null where there is no journal.
      type: dict
    backup:
      description: The record of the backup that is there.
      type: dict
    stored_bytes:
      description: Bytes that all files there take. Where there is a journal.
      type: int
      version_added: 0.1.0
places:
  description: The places that a copy of a server goes to. Null where no server is installed.
  returned: when O(host) and O(login_user) are given
  type: dict
  version_added: 0.1.0
  contains:
    error:
      description: Why nothing can be put there; null where it can.
      type: dict
    missing:
      description: Directories of logs that the option files name and that are not there.
      type: list
      elements: str
    in_the_way:
      description: What is in the directory, where it is no data directory.
      type: list
      elements: str
    outside:
      description: Files of a server's data that are outside of the data directory.
      type: list
      elements: str
    incoming:
      description: The file system on which a backup arrives, with C(path), C(device) and C(free) (bytes).
      type: dict
    staging:
      description: That on which it is put then.
      type: dict
    layout:
      description: C(innodb_page_size), C(lower_case_table_names) and C(data_file_sizes), as the option files say.
      type: dict
server_error:
  description: Why the server could not be reached.
  returned: when it could not be and that is no failure
  type: dict
replication:
  description: The server's replication channels, as M(innodb.xtrabackup.xtrabackup_replica) returns them; null when
    the account may not see them.
  returned: when a server was reached
  type: list
  elements: dict
job:
  description: The running job; null when there is none.
  returned: when O(progress_file) is given
  type: dict
  contains:
    job:
      description: What runs.
      type: str
      sample: backup
    pid:
      description: Its process.
      type: int
    alive:
      description: Whether that process exists.
      type: bool
    phase:
      description: What it is doing.
      type: str
    bytes:
      description: Bytes done in this phase.
      type: int
    bytes_total:
      description: Bytes of this phase, null when not known.
      type: int
    mib_per_second:
      description: How fast.
      type: float
    eta_seconds:
      description: Seconds until the end of this phase, null when not known.
      type: float
    seconds:
      description: Seconds since the start of the job.
      type: float
    redo_behind_bytes:
      description:
        - Bytes of redo that the server had written and the backup had not copied, at most a second or so ago. While a
          backup copies the redo log.
      type: int
      version_added: 0.1.0
error:
  description: What failed, where, and what to do.
  returned: on failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.innodb.xtrabackup.plugins.module_utils.host_facts import HOST_OPTION, gather
from ansible_collections.innodb.xtrabackup.plugins.module_utils.module_support import LOGIN_OPTIONS, Outcome, run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LOGIN_OPTIONS,
            "src": {"type": "path"},
            "progress_file": {"type": "path"},
            "server_optional": {"type": "bool", "default": False},
            "data_size": {"type": "bool", "default": False},
            "host": HOST_OPTION,
        },
        supports_check_mode=True,
    )
    run(module, lambda module: Outcome(False, result=gather(module.params)))


if __name__ == "__main__":
    main()
