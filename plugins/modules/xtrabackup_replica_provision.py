#!/usr/bin/python
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that becomes a replica: everything that is done on it, in one job."""

from __future__ import annotations

DOCUMENTATION = r"""
module: xtrabackup_replica_provision
short_description: Make a replica of this host, by what was decided
version_added: 0.1.0
description:
  - Receives a backup, prepares it, stops the server, puts the copy in place, starts the server, and lets it replicate.
    All of it is one job, which goes on whatever becomes of the play.
  - The role P(innodb.xtrabackup.replica#role) starts it, with the decision of
    M(innodb.xtrabackup.xtrabackup_replica_plan), and has the primary send the backup with
    M(innodb.xtrabackup.xtrabackup_backup).
  - Data that may only be replaced because they are a freshly installed server's own are looked at again, before and
    after the server is stopped.
  - A journal beside the data directory says how far the job is. A job that was interrupted is taken up by the next one.
author:
  - The innodb.xtrabackup authors (@innodb-xtrabackup)
extends_documentation_fragment:
  - innodb.xtrabackup.attributes
  - innodb.xtrabackup.attributes.login
  - innodb.xtrabackup.login
  - innodb.xtrabackup.host
  - innodb.xtrabackup.service_commands
attributes:
  check_mode:
    support: none
    details:
      - It is skipped in check mode. What a run would do is what M(innodb.xtrabackup.xtrabackup_replica_plan) tells.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - It does what was decided. M(innodb.xtrabackup.xtrabackup_replica_plan) decides that a replica is left alone.
options:
  name:
    description: The host's name, for messages.
    type: str
    required: true
  plan:
    description:
      - RV(innodb.xtrabackup.xtrabackup_replica_plan#module:plan), whose step is V(provision) or V(continue),
        or V(keep) to remove what an interrupted job has left beside a replica.
    type: dict
    required: true
  replication_password:
    description: The password of the channel's account.
    type: str
    default: ''
  listen:
    description: Where the backup arrives. Required unless an earlier job has received it.
    type: dict
    suboptions:
      address:
        description: The address to listen at. Empty for all of this host's.
        type: str
        default: ''
      port:
        description: The TCP port.
        type: int
        required: true
      token:
        description:
          - The token of this transfer, random and new. The sender is who knows it
            (O(innodb.xtrabackup.xtrabackup_backup#module:stream_to.tls.token)).
          - The key and the certificate of this end are made in the job, and are in no file.
        type: str
        required: true
      timeout:
        description: How long the sender may be silent.
        type: str
        default: 60s
      accept_timeout:
        description: How long to wait for the sender.
        type: str
        default: 10m
  use_memory:
    description: As of M(innodb.xtrabackup.xtrabackup_prepare).
    type: str
    default: auto
  keyring_file:
    description: As of M(innodb.xtrabackup.xtrabackup_prepare).
    type: path
  parallel:
    description: How many files are worked on at the same time.
    type: int
    default: 2
  owner:
    description: The account that the data are given to. By default that of the server.
    type: str
  group:
    description: The group that the data are given to.
    type: str
  service_timeout:
    description: Seconds in which the server must answer, or be gone.
    type: int
    default: 600
seealso:
  - module: innodb.xtrabackup.xtrabackup_replica_plan
  - module: innodb.xtrabackup.xtrabackup_job
"""

EXAMPLES = r"""
# the role innodb.xtrabackup.replica calls it, in tasks/provision.yml
"""

RETURN = r"""
backup:
  description: The record of the backup that is in place now, as M(innodb.xtrabackup.xtrabackup_backup) returns it.
  returned: success
  type: dict
prepare:
  description: As of M(innodb.xtrabackup.xtrabackup_prepare); empty where an earlier job has prepared the copy.
  returned: success
  type: dict
restore:
  description: As of M(innodb.xtrabackup.xtrabackup_restore); empty where an earlier job has put it in place.
  returned: success
  type: dict
replication:
  description: The channel, as M(innodb.xtrabackup.xtrabackup_replica) returns it.
  returned: success
  type: dict
phases:
  description: Seconds in each phase.
  returned: success
  type: dict
  sample: {receiving: 2.1, publishing: 0.3, applying redo: 0.5, moving: 0.1, starting the server: 0.9}
error:
  description: What failed, where, and what to do; such as the modules for the single steps return it.
  returned: on failure
  type: dict
  sample:
    code: data_meanwhile
    message: "Nothing was touched in /var/lib/mysql: since this run began, data were put into /var/lib/mysql (crm)"
    remedy: "Say xtrabackup_replica_rebuild: true for db2 to replace them."
    details: {path: /var/lib/mysql}
"""

from dataclasses import asdict, replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.engine.recovery.prepare import PrepareOptions
from ..module_utils.engine.replica.facts import parse_plan
from ..module_utils.engine.replica.provision import Provision, ServiceCommands, provision
from ..module_utils.engine.server.replication import REPLICATING, WantedChannel
from ..module_utils.engine.sources.network import TlsSource
from ..module_utils.host_facts import HOST_OPTION, host_question, logins
from ..module_utils.module_support import LOGIN_OPTIONS, SERVICE_COMMAND_OPTIONS, Outcome, progress_of, run, warn

_SPEC: dict[str, dict[str, Any]] = {
    **LOGIN_OPTIONS,
    "name": {"type": "str", "required": True},
    "plan": {"type": "dict", "required": True},
    "host": HOST_OPTION,
    "replication_password": {"type": "str", "default": "", "no_log": True},
    "listen": {
        "type": "dict",
        "options": {
            "address": {"type": "str", "default": ""},
            "port": {"type": "int", "required": True},
            "token": {"type": "str", "required": True, "no_log": True},
            "timeout": {"type": "str", "default": "60s"},
            "accept_timeout": {"type": "str", "default": "10m"},
        },
    },
    "use_memory": {"type": "str", "default": "auto"},
    # a path is no secret
    "keyring_file": {"type": "path", "no_log": False},
    "parallel": {"type": "int", "default": 2},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    **SERVICE_COMMAND_OPTIONS,
    "service_timeout": {"type": "int", "default": 600},
}


def _source(listen: dict[str, Any] | None) -> TlsSource | None:
    return None if listen is None else TlsSource.from_options({**listen, "tls": {"token": listen["token"]}})


def _wanted(params: dict[str, Any]) -> Provision:
    login, administrator = logins(params)
    plan = parse_plan(params["plan"])
    return Provision(
        name=params["name"],
        plan=plan,
        question=replace(host_question(params), source=None),  # it was tried when this was decided
        login=login,
        administrator=administrator,
        channel=WantedChannel(REPLICATING, source_password=params["replication_password"] or None, **plan.channel),
        source=_source(params["listen"]),
        recovery=PrepareOptions(
            use_memory=params["use_memory"],
            parallel=params["parallel"],
            server_program=params["host"]["server_program"] or None,
            keyring_file=params["keyring_file"],
        ),
        owner=params["owner"],
        group=params["group"],
        commands=ServiceCommands(
            tuple(params["start_command"]), tuple(params["stop_command"]), params["service_timeout"]
        ),
    )


def _provision(module: AnsibleModule) -> Outcome:
    with progress_of("provision", None) as progress:
        done = provision(_wanted(module.params), progress)
        phases = progress.snapshot()["phases"]
    warn(module, done.warnings)
    result = {name: value for name, value in asdict(done).items() if name != "warnings"}
    return Outcome(True, result={**result, "phases": phases})


def main() -> None:
    """Run the module."""
    run(AnsibleModule(argument_spec=_SPEC, supports_check_mode=False), _provision)


if __name__ == "__main__":
    main()
