# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options for commands in the place of the server's service: module_support.SERVICE_COMMAND_OPTIONS."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  start_command:
    description: The command that starts the server, as a list, in place of the service.
    type: list
    elements: str
    default: []
  stop_command:
    description: The command that stops the server, as a list, in place of the service.
    type: list
    elements: str
    default: []
"""
