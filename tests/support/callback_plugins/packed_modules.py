# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks of one test session share the modules that Ansible has packed, in the directory $XTRABACKUP_TEST_PACKED.

Ansible packs each module once in a run, and keeps it as long as the run lasts; that is a fifth of the processor time of
a play that provisions a replica.
"""

from __future__ import annotations

import os
from typing import Any

from ansible import constants  # type: ignore[attr-defined] # ansible has no types
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: packed_modules
type: aggregate
short_description: Modules are packed once for several runs
description:
  - Lets runs of playbooks use each other's packed modules, for the collection's tests.
requirements:
  - The environment variable E(XTRABACKUP_TEST_PACKED) names a directory.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc] # ansible has no types
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "packed_modules"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: Any) -> None:
        # where ansible.executor.module_common keeps them; the run removes the link when it ends, not what it leads to
        os.symlink(os.environ["XTRABACKUP_TEST_PACKED"], os.path.join(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache"))
