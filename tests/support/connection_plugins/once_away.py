# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This machine as a host that cannot be reached once, when the file $XTRABACKUP_TEST_AWAY is there."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import local

DOCUMENTATION = r"""
name: once_away
short_description: A host that cannot be reached once
description:
  - As the connection P(ansible.builtin.local#connection), but that the first command fails for which the file is there;
    the file is gone then. For the collection's tests.
options:
  pipelining:
    description: Whether modules are sent over a pipe.
    type: boolean
    default: true
    vars:
      - name: ansible_pipelining
requirements:
  - The environment variable E(XTRABACKUP_TEST_AWAY) names the file.
"""


class Connection(local.Connection):  # type: ignore[misc] # ansible has no types
    transport = "once_away"

    def exec_command(self, *arguments: Any, **options: Any) -> Any:
        away = os.environ["XTRABACKUP_TEST_AWAY"]
        if os.path.exists(away):
            os.unlink(away)
            raise AnsibleConnectionFailure("the host is away")
        return super().exec_command(*arguments, **options)
