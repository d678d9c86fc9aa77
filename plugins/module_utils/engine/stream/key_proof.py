# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof that the key was the right one for entries that have no hash (xbcrypt versions 1 and 2): by what files begin
with.

With another key all that comes out is noise, and nothing else would tell: the checksums are of the encrypted bytes.
What files begin with: docs/internals/formats-stream.md#beginnings-of-files.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import DecryptionFailed
from ..format.file_kinds import (
    CHECKPOINTS_NAMES,
    CONFIGURATION_NAME,
    DELTA_META_SUFFIX,
    DELTA_SUFFIX,
    INFO_NAMES,
    LZ4_SUFFIX,
    QUICKLZ_SUFFIX,
    SYSTEM_NAME,
    TABLESPACE,
    ZSTD_SUFFIX,
)
from .cipher import Decryptor

NOT_AUTHENTICATED = (
    "no manifest authenticates what was decrypted: another tool has made this backup, or somebody who can write to it "
    "has taken the manifest away, and may have changed encrypted files"
)

_PAGE_HEAD = 42  # bytes of a page up to the end of FSP_SPACE_ID
_TYPE_FSP_HDR = 8

#: ends of names, and what files of such names begin with
_BEGINNINGS: tuple[tuple[tuple[str, ...], tuple[bytes, ...]], ...] = (
    # frames, and frames to be skipped
    ((ZSTD_SUFFIX,), (b"\x28\xb5\x2f\xfd", *(bytes((0x50 + number, 0x2A, 0x4D, 0x18)) for number in range(16)))),
    ((LZ4_SUFFIX,), (b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18")),
    ((QUICKLZ_SUFFIX,), (b"qpress10",)),
    ((DELTA_SUFFIX,), (b"xtra", b"XTRA")),
    ((DELTA_META_SUFFIX,), (b"page_size = ",)),
    (CHECKPOINTS_NAMES, (b"backup_type = ",)),
    (INFO_NAMES, (b"uuid = ",)),
    ((CONFIGURATION_NAME,), (b"# This M",)),
)


def proof(name: str, decryptor: Decryptor) -> bool | None:
    """Returns whether the plain bytes of an entry prove its key; None when nothing had to be proven. ``name`` is that
    of the entry without the suffix of encryption. Raises DecryptionFailed when they prove that it was another one."""
    if decryptor.hashed is not False:
        return decryptor.hashed
    proven = _is_what_it_is_called(name, decryptor.head)
    if proven is False:
        raise DecryptionFailed(
            f"{name}: what was decrypted is not what such a file begins with, so it was encrypted with another key",
            remedy="Give the key that the backup was encrypted with; nothing was changed.",
            entry=name,
        )
    return bool(proven)


def require_proof(proofs: Iterable[tuple[str, bool | None]], where: str) -> None:
    """Raises DecryptionFailed when a key had to be proven and no file of all did so; one key is that of all files of a
    backup. ``proofs``: names of entries, and what ``proof`` says of them."""
    found = list(proofs)
    unproven = [name for name, proven in found if proven is False]
    if unproven and not any(proven for _name, proven in found):
        raise DecryptionFailed(
            f"{where}: nothing proves that the key is right: {', '.join(unproven[:5])}"
            + (f" and {len(unproven) - 5} more" if len(unproven) > 5 else "")
            + " have no hash (xbcrypt version 1 or 2), and no compressed file, tablespace or metadata is with them",
            remedy="Decrypt them together with the other files of their backup; nothing was changed.",
            where=where,
        )


def _is_what_it_is_called(name: str, head: bytes) -> bool | None:
    """None when the beginnings of files of this name are not known, or too short to tell."""
    for endings, beginnings in _BEGINNINGS:
        if name.endswith(endings):
            return any(head.startswith(beginning) for beginning in beginnings)
    if TABLESPACE.matches(name) or name == SYSTEM_NAME:
        return _is_first_page(head)
    return None


def _is_first_page(head: bytes) -> bool:
    """Returns whether a tablespace begins with ``head``: page number 0, type FSP_HDR, the space id twice; or a page of
    zeros, which was not written yet when the file was copied."""
    page_number, page_type = head[4:8], int.from_bytes(head[24:26], "big")
    if not any(head):
        return True
    return page_number == bytes(4) and page_type == _TYPE_FSP_HDR and head[34:38] == head[38:_PAGE_HEAD]
