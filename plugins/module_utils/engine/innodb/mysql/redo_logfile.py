# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The redo log in a backup of a MySQL server, ``xtrabackup_logfile``: proving it, and making it the server's own log.

It is a header and the blocks from that of the checkpoint on. Percona's tool leaves the start LSN of the server's file
in the header, so that LSN says nothing; the checkpoint does.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ...errors import BackupError, DecryptionFailed, NotABackup, RedoCorrupt
from ...format.file_kinds import REDO_DIRECTORY, REDO_FILE_PREFIX
from ...host import below, durable
from . import redo
from .keyring import Keyring
from .redo_cipher import RedoCipher
from .redo_format import (
    BLOCK_SIZE,
    HEADER_SIZE,
    LogFileHeader,
    MysqlCheckpoint,
    MysqlWalkEnd,
    RedoFormat,
    block_start,
)

FIRST_FILE = f"{REDO_FILE_PREFIX}0"
_FILE_UNIT = 64 << 10  # bytes: servers take files of whole pages, none smaller than this
_READ_SIZE = 4 << 20  # bytes


@dataclass(frozen=True)
class LogFileSummary:
    """Content of a verified log of a backup: all redo from ``start_lsn``, the start of a block, to ``end_lsn``."""

    format: int
    creator: str
    start_lsn: int
    checkpoint_lsn: int
    end_lsn: int
    encrypted: bool  # some of its blocks are


def inspect_logfile(path: Path, keyring: Keyring | None = None) -> LogFileSummary:
    """Verify every block of the log ``path``. ``keyring`` is needed where blocks are encrypted.

    Raises RedoCorrupt where a block is damaged, DecryptionFailed without the key of an encrypted log, UnsupportedServer
    or UnknownFormat for another format, StorageError.
    """
    with durable.storage_errors("reading", path), below.reading_file(path) as file:
        head = file.read(HEADER_SIZE)
        redo_format, header, checkpoint = _parse_head(head, path)
        cipher = _cipher(redo_format, head, keyring, path)
        start = lsn = block_start(checkpoint.lsn)
        encrypted = False
        while window := file.read(_READ_SIZE):
            walked = redo_format.walk(window, lsn, cipher)
            lsn += walked.size
            encrypted = encrypted or _any_encrypted(redo_format, window[: walked.size + BLOCK_SIZE])
            if walked.end is MysqlWalkEnd.WINDOW and walked.size == len(window):
                continue
            rest = walked.size
            if walked.end is MysqlWalkEnd.INCOMPLETE:
                lsn += walked.used
                rest += BLOCK_SIZE
            _require_padding(file.tell() - len(window) + rest, lsn, walked.end, path)
            break
    if checkpoint.lsn > lsn:
        raise RedoCorrupt(
            f"{path}: the log ends at LSN {lsn}, before its checkpoint {checkpoint.lsn}", path=str(path), lsn=lsn
        )
    return LogFileSummary(header.format, header.creator, start, checkpoint.lsn, lsn, encrypted)


def move_into_redo_directory(logfile: Path, directory: Path, page_size: int) -> None:
    """Make ``logfile`` the whole redo log of the data directory ``directory`` (same file system), durably.

    A server of that ``page_size`` (bytes) then recovers to exactly the end of the log. Harmless to repeat: interrupted
    anywhere, the log is either still ``logfile``, as good as before, or in place. Raises BackupError when the directory
    has another redo log, NotABackup when there is none at all, RedoCorrupt, StorageError.
    """
    redo_directory = directory / REDO_DIRECTORY
    target = redo_directory / FIRST_FILE
    if not logfile.exists():
        if target.exists():
            return
        raise NotABackup(f"{logfile} is missing, and {target} too: there is no redo log", path=str(logfile))
    with durable.storage_errors("making", redo_directory), below.Root(directory) as root:
        root.make_directories(REDO_DIRECTORY, 0o777)
        with root.directory(REDO_DIRECTORY) as redo_root:
            others = redo_root.names()
    if others:
        raise BackupError(
            f"{redo_directory} holds another redo log beside {logfile} ({', '.join(others[:3])})",
            remedy="Start again from the backup.",
            path=str(redo_directory),
        )
    _make_server_log(logfile, max(page_size, _FILE_UNIT))
    with durable.storage_errors("renaming", logfile), below.Root(directory) as root:
        root.move_in(logfile, f"{REDO_DIRECTORY}/{FIRST_FILE}")
        durable.fsync_directory(redo_directory)
        durable.fsync_directory(directory)
        if logfile.parent != directory:
            durable.fsync_directory(logfile.parent)


def _make_server_log(logfile: Path, unit: int) -> None:
    """Give ``logfile`` the header of a log's only file, and a size of whole units."""
    with (
        durable.storage_errors("writing", logfile),
        os.fdopen(below.open_in(logfile.parent, logfile.name, os.O_RDWR), "r+b") as file,
    ):
        head = file.read(HEADER_SIZE)
        redo_format, header, checkpoint = _parse_head(head, logfile)
        info = redo_format.encryption_info(head)
        wanted = redo_format.render_header(checkpoint, header.log_uuid, info, creator=header.creator)
        if wanted != head:
            file.seek(0)
            file.write(wanted)
        size = file.seek(0, os.SEEK_END)
        # a hole reads as zeros: the end of the log
        file.truncate(-(-size // unit) * unit)
        file.flush()
        os.fsync(file.fileno())


def _parse_head(head: bytes, path: Path) -> tuple[RedoFormat, LogFileHeader, MysqlCheckpoint]:
    found = redo.format_of(head, str(path))
    header = found.parse_header(head, str(path))
    checkpoint = found.newest_checkpoint(head)
    if checkpoint is None:
        raise RedoCorrupt(f"{path}: no valid checkpoint in the header", path=str(path), offset=BLOCK_SIZE)
    return found, header, checkpoint


def _cipher(redo_format: RedoFormat, head: bytes, keyring: Keyring | None, path: Path) -> RedoCipher | None:
    info = redo_format.encryption_info(head)
    return RedoCipher.unwrap(info, keyring, str(path)) if info and keyring else None


def _any_encrypted(redo_format: RedoFormat, blocks: bytes) -> bool:
    last = range(0, len(blocks) - BLOCK_SIZE + 1, BLOCK_SIZE)
    return any(redo_format.is_encrypted(blocks[offset : offset + 6]) for offset in last)


def _require_padding(offset: int, lsn: int, end: MysqlWalkEnd, path: Path) -> None:
    """Raises unless the file holds only zeros from ``offset`` on."""
    if end is MysqlWalkEnd.ENCRYPTED:
        raise DecryptionFailed(
            f"{path}: the redo log is encrypted (at LSN {lsn}), and there is no key",
            remedy="Give the keyring file of the server that wrote it.",
            path=str(path),
            lsn=lsn,
        )
    with below.reading_file(path) as file:
        file.seek(offset)
        while data := file.read(_READ_SIZE):
            if data.count(0) != len(data):
                raise RedoCorrupt(
                    f"{path}: the log is damaged at LSN {lsn} (file offset {offset}: {end.value})",
                    path=str(path),
                    lsn=lsn,
                    offset=offset,
                )
