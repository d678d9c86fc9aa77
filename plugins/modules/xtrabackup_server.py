#!/usr/bin/python
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's server, stopped or started, as a state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: xtrabackup_server
short_description: Stop or start the server on a data directory, and wait for it
version_added: 0.1.0
description:
  - Stops the server that runs on a data directory, and waits until its process is gone; or starts it, and waits until
    it answers at its socket. No login is needed.
  - The server is found by its process, so that it does not matter who started it.
author:
  - the innodb.xtrabackup authors (@innodb)
extends_documentation_fragment:
  - innodb.xtrabackup.attributes
  - innodb.xtrabackup.attributes.local
  - innodb.xtrabackup.service_commands
attributes:
  diff_mode:
    support: full
options:
  datadir:
    description: The data directory. A server is recognised by it.
    type: path
    required: true
  socket:
    description: The Unix socket of the server.
    type: path
    required: true
  state:
    description:
      - V(stopped) waits until a server that is just starting answers, stops it, and waits until its process has ended.
      - V(started) starts the server unless it runs, and waits until it answers.
    type: str
    choices: [started, stopped]
    required: true
  service:
    description:
      - The name of its service. C(systemctl) is used where systemd runs, else C(rc-service) or C(service).
      - Required unless there is the command for O(state).
    type: str
  timeout:
    description: Seconds in which the server must answer, or be gone.
    type: int
    default: 600
"""

EXAMPLES = r"""
- name: Stop the server
  innodb.xtrabackup.xtrabackup_server:
    datadir: /var/lib/mysql
    socket: /run/mysqld/mysqld.sock
    service: mariadb
    state: stopped
"""

RETURN = r"""
server:
  description: The server's state at the end.
  returned: success
  type: dict
  sample: {running: true, answers: true, pid: 4711}
error:
  description: What failed, where, and what to do.
  returned: on failure
  type: dict
  sample:
    code: service_failed
    message: the server on /var/lib/mysql does not answer at /run/mysqld/mysqld.sock; its process has ended
    remedy: "Look into the server's error log and, with systemd, the journal of its unit; then run the task again."
    details: {datadir: /var/lib/mysql, socket: /run/mysqld/mysqld.sock}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.engine.errors import InvalidOption
from ..module_utils.engine.server.service import Service
from ..module_utils.module_support import SERVICE_COMMAND_OPTIONS, Outcome, run

_SPEC = {
    "datadir": {"type": "path", "required": True},
    "socket": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["started", "stopped"], "required": True},
    "service": {"type": "str"},
    **SERVICE_COMMAND_OPTIONS,
    "timeout": {"type": "int", "default": 600},
}
_COMMANDS = {"started": "start_command", "stopped": "stop_command"}


def _server(module: AnsibleModule) -> Outcome:
    params = module.params
    command = _COMMANDS[params["state"]]
    if not params["service"] and not params[command]:
        raise InvalidOption(f"neither service nor {command} is given: nothing could make the server {params['state']}")
    service = Service(
        datadir=Path(params["datadir"]),
        socket=Path(params["socket"]),
        name=params["service"] or "",
        start_command=tuple(params["start_command"]),
        stop_command=tuple(params["stop_command"]),
        timeout=params["timeout"],
    )
    before = service.state()
    wanted = params["state"] == "started"
    changed = before.running != wanted
    if not module.check_mode:
        changed = service.start() if wanted else service.stop()
    now = before if module.check_mode else service.state()
    return Outcome(changed, {"running": before.running}, {"running": wanted}, {"server": now.as_dict()})


def main() -> None:
    """Run the module."""
    run(AnsibleModule(argument_spec=_SPEC, supports_check_mode=True), _server)


if __name__ == "__main__":
    main()
