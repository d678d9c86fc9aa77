# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options for owner, group and mode of what a module writes: module_support.OWNER_OPTIONS."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  owner:
    description:
      - The name of the user who is to own what is written, set while it is written.
    type: str
  group:
    description:
      - The name of the group that is to own what is written, set while it is written.
    type: str
  mode:
    description:
      - The permissions of the directory itself, as an octal number in quotes (V('0750')).
      - Files in it get the same permissions without those to execute.
    type: raw
"""
