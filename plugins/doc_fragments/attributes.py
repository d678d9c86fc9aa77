# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes of every module of the collection."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  action:
    support: full
    description:
      - Indicates this has a corresponding action plugin so some parts of the options can be executed on the controller.
  async:
    support: full
    description:
      - Supports being used with the C(async) keyword.
  check_mode:
    support: full
    description:
      - Can run in C(check_mode) and return changed status prediction without modifying target.
      - What it predicts is what the run then does, as long as the host is left alone between the two.
  diff_mode:
    support: full
    description:
      - Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
  idempotent:
    support: full
    description:
      - When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
  platform:
    support: full
    platforms: posix
    description:
      - Target OS/families that can be operated against.
"""

    # modules that log in to a server; the other ones have no options that the group could have defaults for
    LOGIN = r"""
options: {}
attributes:
  action_group:
    version_added: 0.1.0
    support: full
    membership:
      - innodb.xtrabackup.xtrabackup
    description:
      - Use C(group/innodb.xtrabackup.xtrabackup) in C(module_defaults) to set defaults for all modules that log in to a
        server.
"""

    LOCAL = r"""
options: {}
attributes:
  action_group:
    version_added: 0.1.0
    support: none
    membership: []
    description:
      - Works on files only. The group C(group/innodb.xtrabackup.xtrabackup) is for modules that log in to a server.
"""
