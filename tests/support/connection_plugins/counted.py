# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This machine as a host for which each command and each file that is sent is a line in $XTRABACKUP_TEST_COUNT."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.connection import local

DOCUMENTATION = r"""
name: counted
short_description: A host whose remote executions are counted
description:
  - As the connection P(ansible.builtin.local#connection). For the collection's tests.
options:
  pipelining:
    description: Whether modules are sent over a pipe.
    type: boolean
    default: true
    vars:
      - name: ansible_pipelining
requirements:
  - The environment variable E(XTRABACKUP_TEST_COUNT) names the file.
"""


class Connection(local.Connection):  # type: ignore[misc] # ansible has no types
    transport = "counted"

    def exec_command(self, cmd: str, *arguments: Any, **options: Any) -> Any:
        self._count("exec", cmd)
        return super().exec_command(cmd, *arguments, **options)

    def put_file(self, in_path: str, out_path: str) -> Any:
        self._count("put", out_path)
        return super().put_file(in_path, out_path)

    @staticmethod
    def _count(kind: str, what: str) -> None:
        with open(os.environ["XTRABACKUP_TEST_COUNT"], "a", encoding="utf-8") as file:
            file.write(f"{kind} {' '.join(what.split())[:200]}\n")
