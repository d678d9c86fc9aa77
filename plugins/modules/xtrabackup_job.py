#!/usr/bin/python
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xtrabackup_job
short_description: Wait for a job of another task, or stop it
version_added: 0.1.0
description:
  - M(innodb.xtrabackup.xtrabackup_backup), M(innodb.xtrabackup.xtrabackup_prepare),
    M(innodb.xtrabackup.xtrabackup_restore) and M(innodb.xtrabackup.xbstream) do their work in a job on the host, which
    goes on when the connection is lost or the play is interrupted. The same task with the same options finds its job
    again and waits for it. This module does the same for a job whose identifier is known, and stops jobs.
  - Jobs are those of the user that runs the module. Those of root have their status, log and result in
    C(/run/xtrabackup/jobs).
author:
  - The innodb.xtrabackup authors (@innodb-xtrabackup)
extends_documentation_fragment:
  - innodb.xtrabackup.attributes
  - innodb.xtrabackup.attributes.local
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  id:
    description: The identifier of the job, which the task has told.
    type: str
    required: true
  task:
    description:
      - The name that the task of the job has returned as C(job.task). If another task has started the job again since,
        this one fails.
    type: str
    default: ''
  run_dir:
    description:
      - The directory that has the directory C(jobs). Of root, it is C(/run/xtrabackup) where this is not given.
    type: path
  timeout:
    description:
      - How many seconds to wait for the end of the job, V(0) for as long as it takes. If it has not ended by then, the
        task fails, and the job goes on.
    type: int
    default: 0
  state:
    description:
      - V(finished) waits until the job is over. The result is that of its task, and the task fails if that failed.
      - V(stopped) stops the job and waits until it has ended. Its locks are released, its unfinished files removed.
      - V(queried) only tells whether the job goes on, or has ended well and its result was not fetched yet.
    type: str
    choices: [finished, queried, stopped]
    default: finished
  wait_for_sender:
    description:
      - With O(state=queried), how many seconds to wait at most while the job waits for a sender to connect.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Stop the backup that an interrupted play has left
  innodb.xtrabackup.xtrabackup_job:
    id: xtrabackup_backup-0f4b2c1d9e8a
    state: stopped
"""

RETURN = r"""
alive:
  description: Whether the job goes on.
  returned: with O(state=queried)
  type: bool
phase:
  description: What the job is doing, empty when it does not go on.
  returned: with O(state=queried)
  type: str
  sample: receiving
waiting:
  description: Whether the job goes on and waits for a sender that is to connect to it.
  returned: with O(state=queried)
  type: bool
arriving:
  description: Whether the job goes on and what it receives has not arrived yet.
  returned: with O(state=queried)
  type: bool
succeeded:
  description: Whether the job is over, without an error, and its result is still there.
  returned: with O(state=queried)
  type: bool
error:
  description: What failed, where, and what to do.
  returned: on failure
  type: dict
  sample:
    code: job_gone
    message: there is no job xtrabackup_backup-0f4b2c1d9e8a on this host, or not any more
    remedy: "Run the task again: what was done is kept, and what was not is done."
    details: {}
"""

import json
import sys
import time

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import remote_jobs
from ..module_utils.engine.errors import JobRunning, XtrabackupError
from ..module_utils.engine.replica.model import ARRIVING, WAITING

_SPEC = {
    "id": {"type": "str", "required": True},
    "task": {"type": "str", "default": ""},
    "run_dir": {"type": "path"},
    "timeout": {"type": "int", "default": 0},
    "wait_for_sender": {"type": "int", "default": 0},
    "state": {"type": "str", "choices": ["finished", "queried", "stopped"], "default": "finished"},
}
_FOR_EVER = 10 * 365 * 86400


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=_SPEC, supports_check_mode=True)
    try:
        job = remote_jobs.Job.named(module.params["id"], module.params["run_dir"] or "")
        if module.params["state"] == "queried":
            alive = job.lives
            deadline = time.monotonic() + module.params["wait_for_sender"]
            while alive and job.phase() in WAITING and time.monotonic() < deadline:
                time.sleep(0.1)
                alive = job.lives
            phase = job.phase() if alive else ""
            module.exit_json(
                changed=False,
                alive=alive,
                phase=phase,
                waiting=phase in WAITING,
                arriving=phase in ARRIVING,
                succeeded=not alive and job.succeeded(),
            )
        if module.params["state"] == "stopped":
            module.exit_json(changed=job.lives if module.check_mode else remote_jobs.stop(job))
        if module.check_mode:
            module.exit_json(changed=False)
        seconds = module.params["timeout"] or _FOR_EVER
        if not remote_jobs.wait(job, seconds):
            raise JobRunning(f"job {module.params['id']} (process {job.run()[0]}) has not ended after {seconds} s")
        answer = remote_jobs.answer_of(job, module.params["task"])
    except XtrabackupError as error:
        module.fail_json(msg=f"{error.message}. {error.remedy}", error=error.as_dict())
    # as the job's module has printed it: warnings and errors in it are in a form of Ansible's own
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
