# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Option for the digests of files in a manifest: module_support.FILE_DIGEST_OPTION."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  file_digest:
    description:
      - The digest of each file's content in the manifest.
      - V(xxh128) is XXH3 with 128 bits. It is fast and finds damage, but files can be forged that have the same digest.
      - V(sha256) takes more processor time, and cannot be forged. With it, the digest of the manifest
        (RV(innodb.xtrabackup.xtrabackup_backup#module:backup.manifest.sha256)), kept where nobody else can change it,
        proves the content of all files of the backup until it is prepared.
    type: str
    choices: [xxh128, sha256]
    default: xxh128
"""
