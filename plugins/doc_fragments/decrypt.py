# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Option for the decryption of streams: module_support.DECRYPT_OPTION."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  decrypt:
    description:
      - How to decrypt an encrypted backup.
    type: dict
    suboptions:
      key_file:
        description:
          - The file on the managed host that holds the key that the backup was encrypted with. It must be open to
            its owner only (mode 0600).
        type: path
        required: true
requirements:
  - cryptography (Python library on the managed host)
"""
