#!/usr/bin/python
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A replication channel, as a state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: xtrabackup_replica
short_description: A replication channel of MariaDB or MySQL as a declared state
version_added: 0.1.0
description:
  - Compares the wanted replication channel with what the server shows (MariaDB C(SHOW ALL SLAVES STATUS), MySQL and
    Percona Server C(SHOW REPLICA STATUS)), and changes only the difference. A healthy channel to the wanted source is
    left alone; nothing of it is stopped, restarted or set again.
  - A new channel begins where the data of the server come from, which the backup itself tells (O(coordinates)).
  - What is not given of a channel that is there stays as it is.
  - After a change, and for O(state=replicating) always, it waits until both replication threads run. What keeps them
    from it is reported with the server's own error text and what to do about it.
author:
  - The innodb.xtrabackup authors (@innodb-xtrabackup)
extends_documentation_fragment:
  - innodb.xtrabackup.attributes
  - innodb.xtrabackup.attributes.login
  - innodb.xtrabackup.login
options:
  state:
    description:
      - V(replicating), the channel exists and both its threads run.
      - V(stopped), none of its threads runs. Where O(source_host) is given, the channel exists.
      - V(absent), the channel does not exist. The server's GTIDs are kept.
      - V(valid), a channel can be made of the options on a server of O(family) on this host; whatever its CHANGE
        statement refuses, or would not keep as it is given, is a failure, as is a missing TLS file. No server is asked,
        nothing is changed.
    type: str
    choices: [replicating, stopped, absent, valid]
    default: replicating
  family:
    description:
      - With O(state=valid), which server it is, V(mariadb) or V(mysql), which stands for Percona Server as well.
    type: str
    choices: [mariadb, mysql]
  channel:
    description:
      - The name of the channel; an empty name is the server's default channel.
    type: str
    default: ''
  source_host:
    description:
      - The host to replicate from. Needed to make a channel.
    type: str
  source_port:
    description:
      - The port of the source.
    type: int
    default: 3306
  source_user:
    description:
      - The account on the source to replicate with. It needs C(REPLICATION SLAVE) there. Needed to make a channel.
    type: str
  source_password:
    description:
      - The password of O(source_user).
      - A server does not show the password that a channel has, so another password alone is no difference. It is set
        when the channel is made, when O(source_user) differs, and when the source has refused the login.
    type: str
  source_ssl:
    description:
      - Whether the connection to the source is encrypted. Where it is not given, what is there stays, and a new
        channel gets the server's default.
      - MySQL's usual accounts (C(caching_sha2_password)) need this or O(get_source_public_key).
    type: bool
  source_ssl_ca:
    description:
      - File with the certificate of the authority that signed the source's certificate.
    type: path
  source_ssl_cert:
    description:
      - File with the certificate to show to the source.
    type: path
  source_ssl_key:
    description:
      - File with the private key of O(source_ssl_cert).
    type: path
  source_ssl_verify:
    description:
      - Whether the source's certificate must be valid for O(source_host).
    type: bool
  get_source_public_key:
    description:
      - For MySQL and Percona Server, whether the replica asks the source for the public key that its password is
        encrypted with. It is for connections that are not encrypted; who can pose as the source can read the password.
    type: bool
  coordinates:
    description:
      - Where a new channel begins. Not looked at for a channel that is there already.
      - On MariaDB, a GTID position replaces the server's C(gtid_slave_pos) only where that is empty or behind, the
        server has no other channel, and its own binary log holds nothing that conflicts. A server that is beyond it
        goes on from where it is.
      - On MySQL, what the server's C(gtid_executed) lacks of a GTID set is added to C(gtid_purged), only where the
        server has no channel, is no member of group replication, and its own binary log is empty. A server that has all
        of it goes on from where it is, unless it has executed transactions of its own. A backup of this collection
        already brings its set with it, so there is nothing to set.
      - Without it, the server's C(gtid_slave_pos) or C(gtid_executed) is where the channel begins.
    type: dict
    suboptions:
      backup:
        description:
          - Path of the data directory that M(innodb.xtrabackup.xtrabackup_restore) has put in place, or of the backup
            (a directory) that it came from.
          - If the server that was backed up was a replica of O(source_host) itself, its own position there is taken.
          - If it was a replica of another server, its binary log must have had what it replicated
            (C(log_slave_updates), MySQL C(log_replica_updates)), or it is refused.
          - A MySQL server that was backed up with C(gtid_mode=OFF) has file and position, which are taken then.
        type: path
      gtid:
        description:
          - A GTID position such as V(0-1-100), of MySQL a GTID set such as
            V(3e11fa47-71ca-11e1-9e33-c80aa9429562:1-100). An empty one is the very beginning of the source's binary
            log.
        type: str
      file:
        description:
          - Name of the source's binary log file. Needs O(coordinates.position).
        type: str
      position:
        description:
          - Position in O(coordinates.file), in bytes.
        type: int
  connect_retry:
    description:
      - Seconds between two attempts of the replica to reach the source.
    type: int
  caught_up_within:
    description:
      - With O(state=replicating), wait at most this long until the replica has caught up, such as V(10m), and fail
        when it has not. Without it, nothing waits for more than running threads.
      - Caught up means that everything that was read is executed and the source has no more, or that the replica keeps
        at most one second behind a source that writes all the time.
    type: str
  caught_up_to:
    description:
      - With O(caught_up_within), a GTID position (MySQL, a set) of the source which the replica must have executed;
        this is exact.
        RV(innodb.xtrabackup.xtrabackup_info#module:server.gtid) of the source is one.
    type: str
  allow_repoint:
    description:
      - Let a channel that follows another source follow O(source_host) from now on. It goes on from the server's GTID
        position, or from O(coordinates.file).
    type: bool
    default: false
notes:
  - Events of the source must not fire on a replica. Its data are to be prepared with
    O(innodb.xtrabackup.xtrabackup_prepare#module:disable_events=true).
  - On MariaDB needs the privileges C(REPLICATION SLAVE ADMIN) and C(SLAVE MONITOR), and C(RELOAD) for O(state=absent).
  - On MySQL needs the privileges C(REPLICATION_SLAVE_ADMIN) and C(REPLICATION CLIENT), C(RELOAD) for O(state=absent),
    and C(SYSTEM_VARIABLES_ADMIN) where C(gtid_purged) must be set. With C(SELECT) on
    C(performance_schema.replication_applier_status_by_worker), an error of replication is reported in full.
  - Replicas of MySQL can use passwords of up to 32 bytes, those of MariaDB of up to 96.
  - A stopped channel is started even if its last error is still shown, since the cause may be gone. If it is not, the
    task fails with that error.
seealso:
  - module: innodb.xtrabackup.xtrabackup_restore
  - module: innodb.xtrabackup.xtrabackup_info
"""

EXAMPLES = r"""
- name: Replicate from where the restored backup was taken, and catch up
  innodb.xtrabackup.xtrabackup_replica:
    state: replicating
    source_host: primary
    source_user: repl
    source_password: "{{ vault_repl_password }}"
    coordinates: {backup: /var/lib/mysql}
    caught_up_within: 10m

- name: The same over TLS, from a GTID position
  innodb.xtrabackup.xtrabackup_replica:
    source_host: primary.example.com
    source_user: repl
    source_password: "{{ vault_repl_password }}"
    source_ssl: true
    source_ssl_ca: /etc/mysql/ssl/ca.pem
    source_ssl_verify: true
    coordinates: {gtid: 0-1-4711}

- name: A replica of MySQL, without certificates of one's own
  innodb.xtrabackup.xtrabackup_replica:
    source_host: primary
    source_user: repl
    source_password: "{{ vault_repl_password }}"
    source_ssl: true
    coordinates: {backup: /var/lib/mysql}
    caught_up_within: 10m

- name: Stop a named channel for a while
  innodb.xtrabackup.xtrabackup_replica:
    channel: reporting
    state: stopped

- name: Let the replica follow the new primary
  innodb.xtrabackup.xtrabackup_replica:
    source_host: new-primary
    source_user: repl
    source_password: "{{ vault_repl_password }}"
    allow_repoint: true

- name: Replicate from nobody
  innodb.xtrabackup.xtrabackup_replica:
    state: absent
"""

RETURN = r"""
replication:
  description: The channel as it is at the end; in check mode, as it is now.
  returned: success, except for O(state=valid)
  type: dict
  contains:
    channel:
      description: Name of the channel.
      type: str
      sample: ''
    state:
      description: V(replicating), V(stopped), V(absent), or V(broken) if one of the two threads does not run.
      type: str
      sample: replicating
    source_host:
      description: Host of the source.
      type: str
    source_port:
      description: Port of the source.
      type: int
    io_running:
      description: State of the thread that reads from the source.
      type: str
      sample: 'Yes'
    sql_running:
      description: State of the thread that executes.
      type: str
      sample: 'Yes'
    using_gtid:
      description: V(Slave_Pos), V(Current_Pos), on MySQL V(Auto_Position); or V(No).
      type: str
    gtid_slave_pos:
      description: Up to where the server has executed.
      returned: MariaDB
      type: str
      sample: 0-1-4711
    gtid_executed:
      description: What the server has executed.
      returned: MySQL and Percona Server
      type: str
      sample: 3e11fa47-71ca-11e1-9e33-c80aa9429562:1-4711
    seconds_behind:
      description: Seconds behind the source, as the server sees it; null when a thread does not run.
      type: int
    last_error:
      description: Last error of either thread, empty when there is none.
      type: str
    source_server_id:
      description: The source's C(server_id), as the channel last saw it; 0 when it never was connected.
      type: int
    source_uuid:
      description: The source's C(server_uuid), as the channel last saw it; empty on MariaDB.
      type: str
statements:
  description: The statements that were run, or would be, with passwords masked.
  returned: success, except for O(state=valid)
  type: list
  elements: str
  sample:
    - SET GLOBAL gtid_slave_pos = '0-1-4711';
    - START SLAVE '';
error:
  description: What failed, where, and what to do.
  returned: on failure
  type: dict
  sample:
    code: replication_error
    message: "channel '' cannot apply a transaction of its source: error 1062, Duplicate entry '1' for key 'PRIMARY'"
    remedy: "The data of replica and source differ: rebuild the replica from a new backup of the source itself. [...]"
    details: {channel: '', sql_errno: 1062}
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import InvalidOption
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server import replication
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import (
    Connection,
    ConnectionParameters,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.replication_convergence import (
    CaughtUp,
    converge,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.start_position import (
    start_from_backup,
    start_from_options,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.units import parse_duration
from ansible_collections.innodb.xtrabackup.plugins.module_utils.module_support import LOGIN_OPTIONS, Outcome, run

STATES = ["replicating", "stopped", "absent", "valid"]


def start_position(params: dict[str, Any], family: Family) -> replication.StartPosition | None:
    """Returns the start position that ``coordinates`` name, for a server of ``family``."""
    coordinates = params["coordinates"]
    if coordinates is None:
        return None
    if coordinates["backup"] is not None:
        return start_from_backup(coordinates["backup"], params["source_host"], params["source_port"], family)
    return start_from_options(coordinates["gtid"], coordinates["file"], coordinates["position"], family)


def wanted_channel(params: dict[str, Any]) -> replication.WantedChannel:
    """Returns the wanted channel of the options."""
    names = [name for name in params if name.startswith("source_")]
    return replication.WantedChannel(
        state=params["state"],
        channel=params["channel"],
        connect_retry=params["connect_retry"],
        get_source_public_key=params["get_source_public_key"],
        allow_repoint=params["allow_repoint"],
        **{name: params[name] for name in names},
    )


def require_options(params: dict[str, Any]) -> Outcome:
    """Raises InvalidOption unless a channel can be made of the options."""
    replication.dialect_of(Family(params["family"])).check(wanted_channel(params))
    for name in ("source_ssl_ca", "source_ssl_cert", "source_ssl_key"):
        path = params[name]
        # a relative one starts at the server's data directory
        if path and os.path.isabs(path) and not os.path.isfile(path):
            raise InvalidOption(f"{name}: there is no file {path} on this host", option=name, path=path)
    return Outcome(False)


def work(module: AnsibleModule) -> Outcome:
    """Bring about the wanted state."""
    params = module.params
    if params["state"] == "valid":
        return require_options(params)
    within = params["caught_up_within"]
    caught_up = (
        CaughtUp(parse_duration(within, "caught_up_within"), params["caught_up_to"]) if within is not None else None
    )
    with Connection(ConnectionParameters.from_options(params)) as connection:
        done = converge(
            connection,
            wanted_channel(params),
            lambda family: start_position(params, family),
            caught_up=caught_up,
            only_predict=module.check_mode,
        )
    return Outcome(
        done.changed, done.before, done.after, {"replication": done.replication, "statements": done.statements}
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LOGIN_OPTIONS,
            "state": {"type": "str", "choices": STATES, "default": "replicating"},
            "family": {"type": "str", "choices": ["mariadb", "mysql"]},
            "channel": {"type": "str", "default": ""},
            "source_host": {"type": "str"},
            "source_port": {"type": "int", "default": 3306},
            "source_user": {"type": "str"},
            "source_password": {"type": "str", "no_log": True},
            "source_ssl": {"type": "bool"},
            "source_ssl_ca": {"type": "path"},
            "source_ssl_cert": {"type": "path"},
            "source_ssl_key": {"type": "path", "no_log": False},
            "source_ssl_verify": {"type": "bool"},
            "get_source_public_key": {"type": "bool"},
            "coordinates": {
                "type": "dict",
                "options": {
                    "backup": {"type": "path"},
                    "gtid": {"type": "str"},
                    "file": {"type": "str"},
                    "position": {"type": "int"},
                },
                "mutually_exclusive": [("backup", "gtid", "file")],
                "required_one_of": [("backup", "gtid", "file")],
                "required_together": [("file", "position")],
            },
            "connect_retry": {"type": "int"},
            "caught_up_within": {"type": "str"},
            "caught_up_to": {"type": "str"},
            "allow_repoint": {"type": "bool", "default": False},
        },
        required_by={"caught_up_to": "caught_up_within"},
        required_if=[("state", "valid", ("family", "source_host", "source_user"))],
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
