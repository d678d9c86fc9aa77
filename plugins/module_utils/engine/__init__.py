# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine: backups, recovery, restores and transfers of InnoDB servers, without Ansible.

Its modules log what they do (``logging.getLogger(__name__)``). Nobody hears it unless a handler is attached
(``job_log.py``). No password, key, token or statement with one is ever logged.
"""

from __future__ import annotations

import logging

logging.getLogger(__name__).addHandler(logging.NullHandler())
