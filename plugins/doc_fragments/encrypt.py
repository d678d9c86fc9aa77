# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Option for the encryption of streams: module_support.ENCRYPT_OPTION."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  encrypt:
    description:
      - Encrypt each file of the backup, and authenticate the whole. Without it nothing is encrypted.
    type: dict
    suboptions:
      algorithm:
        description:
          - The cipher and the length of its key.
        type: str
        choices: [AES128, AES192, AES256]
        default: AES256
      key_file:
        description:
          - The file on the managed host that holds the key, and nothing else. It must be open to its owner only
            (mode 0600).
        type: path
        required: true
requirements:
  - cryptography (Python library on the managed host)
"""
