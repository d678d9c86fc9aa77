# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupError,
    DecryptionFailed,
    NotABackup,
    RedoCorrupt,
    UnknownFormat,
    UnsupportedServer,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql import (
    redo,
    redo_8_0_30,
    redo_format,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.keyring import FileKey
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.redo_cipher import RedoCipher
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.redo_logfile import (
    LogFileSummary,
    inspect_logfile,
    move_into_redo_directory,
)
from ansible_collections.innodb.xtrabackup.tests.support import redo_files_mysql as made
from ansible_collections.innodb.xtrabackup.tests.support.dying import killed_at

LSN = 8192 * 100
WRAP = 1 << 39  # the LSN at which block numbers start again
CIPHER = RedoCipher(FileKey(bytes(range(32)), bytes(range(16))))


def blocks(count: int, lsn: int = LSN) -> bytes:
    return b"".join(made.block(lsn + number * 512, os.urandom(496)) for number in range(count))


# --- header and checkpoints


def test_header_is_parsed() -> None:
    header = redo.parse_header(made.header(LSN, 8), "log")
    assert header == redo_format.LogFileHeader(6, made.UUID, LSN, "MySQL 9.7.4", redo_format.FILE_FULL)
    assert header.offset(LSN + 1000) == 2048 + 1000


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (made.header(LSN, word=5), UnsupportedServer, "8.0.28"),
        (made.header(LSN, word=1), UnsupportedServer, "5.7"),
        (made.header(LSN, word=7), UnknownFormat, "format 7"),
        (made.header(LSN, word=0x50687973), UnknownFormat, "unknown"),
        (made.header(LSN + 100), RedoCorrupt, "start LSN"),
        (made.header(4096), RedoCorrupt, "start LSN"),
        (bytes(512), RedoCorrupt, "checksum"),
        (made.header(LSN)[:500], RedoCorrupt, "too short"),
    ],
)
def test_a_header_that_is_not_one_of_this_format_is_refused(data: bytes, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        redo.parse_header(data, "log")


@pytest.mark.parametrize(
    ("first", "second", "found"), [(0, 0, None), (LSN, 0, LSN), (0, LSN, LSN), (LSN, LSN + 9, LSN + 9)]
)
def test_the_larger_checkpoint_is_the_newest(first: int, second: int, found: int | None) -> None:
    assert redo_8_0_30.newest_checkpoint(made.head(LSN, first, second)) == (
        found and redo_format.MysqlCheckpoint(found)
    )


def test_a_torn_checkpoint_is_none() -> None:
    head = bytearray(made.head(LSN, LSN + 20, LSN + 10))
    head[512 + 15] ^= 1
    assert redo_8_0_30.newest_checkpoint(head) == redo_format.MysqlCheckpoint(LSN + 10)
    assert redo_8_0_30.newest_checkpoint(head[:1000]) is None


def test_the_header_of_a_backup_is_what_was_meant() -> None:
    info = b"lCC" + os.urandom(108)
    head = redo_8_0_30.render_header(redo_format.MysqlCheckpoint(LSN + 700), made.UUID, info)
    header = redo.parse_header(head, "log")
    assert (header.start_lsn, header.flags, header.log_uuid) == (LSN + 512, 0, made.UUID)
    assert header.creator.startswith("xtrabkup ")
    assert redo_8_0_30.newest_checkpoint(head) == redo_format.MysqlCheckpoint(LSN + 700)
    assert redo_8_0_30.encryption_info(head) == info
    assert redo_8_0_30.encryption_info(made.head(LSN)) is None


# --- blocks


@pytest.mark.parametrize("lsn", [LSN, WRAP - 1024, WRAP, 3 * WRAP - 512])
def test_full_blocks_are_walked_to_the_end_of_the_window(lsn: int) -> None:
    assert redo_8_0_30.walk(blocks(4, lsn) + b"part", lsn) == redo_format.MysqlWalk(
        2048, redo_format.MysqlWalkEnd.WINDOW
    )


@pytest.mark.parametrize("lsn", [8192, LSN, WRAP - 512, WRAP, 5 * WRAP + 1024])
def test_a_block_says_which_lsn_it_starts_at(lsn: int) -> None:
    assert redo_8_0_30.block_lsn(made.block(lsn, b"x")) == redo_8_0_30.block_lsn(redo_8_0_30.render_block(lsn)) == lsn
    assert redo_8_0_30.block_lsn(bytes(512)) == 0


def test_a_block_that_is_not_full_ends_the_walk() -> None:
    data = blocks(2) + made.block(LSN + 1024, b"x" * 100) + blocks(1, LSN + 1536)
    assert redo_8_0_30.walk(data, LSN) == redo_format.MysqlWalk(1024, redo_format.MysqlWalkEnd.INCOMPLETE, 112)


@pytest.mark.parametrize(
    ("block", "end"),
    [
        (bytes(512), redo_format.MysqlWalkEnd.FOREIGN),
        (made.block(LSN + 512 - (1 << 20), b"o" * 496), redo_format.MysqlWalkEnd.FOREIGN),
        (made.block(LSN + 1024, b"n" * 496), redo_format.MysqlWalkEnd.FOREIGN),
        (made.block(LSN + 512 + WRAP, b"n" * 496), redo_format.MysqlWalkEnd.FOREIGN),
        (made.block(LSN + 512, b"t" * 496)[:-1] + b"?", redo_format.MysqlWalkEnd.CHECKSUM),
        (made.block(LSN + 512, b"t" * 496)[:-4] + b"\xde\xad\xbe\xef", redo_format.MysqlWalkEnd.NO_CHECKSUM),
        (made.block(LSN + 512, b"t" * 9)[:-4] + b"\xde\xad\xbe\xef", redo_format.MysqlWalkEnd.NO_CHECKSUM),
        (
            made.with_checksum(made.block(LSN + 512, b"")[:4] + b"\x02\x01" + bytes(2) + b"\0\0\0\1"),
            redo_format.MysqlWalkEnd.CHECKSUM,
        ),
    ],
    ids=[
        "unwritten",
        "older",
        "newer",
        "another epoch",
        "torn",
        "without a checksum",
        "not full, without a checksum",
        "impossible length",
    ],
)
def test_a_block_that_is_not_the_expected_one_ends_the_walk(block: bytes, end: redo_format.MysqlWalkEnd) -> None:
    assert redo_8_0_30.walk(blocks(1) + block, LSN) == redo_format.MysqlWalk(512, end)


@settings(max_examples=60)
@given(st.integers(0, 5 * 512 - 1), st.integers(0, 7))
def test_no_flipped_bit_is_believed(position: int, bit: int) -> None:
    data = bytearray(blocks(5))
    data[position] ^= 1 << bit
    walked = redo_8_0_30.walk(data, LSN)
    # the bit that older servers set in the number is covered by the checksum, too
    assert walked.size == position - position % 512


@given(st.binary(max_size=3000))
def test_any_bytes_are_walked_without_an_error(data: bytes) -> None:
    assert redo_8_0_30.walk(data, LSN).size == 0


def test_a_block_is_cut() -> None:
    block = made.block(LSN, bytes(range(200)) * 2 + bytes(96), first=300)
    cut = redo_8_0_30.cut_block(block, 212)
    assert cut == made.block(LSN, bytes(range(200)), first=0)
    assert redo_8_0_30.cut_block(block, 301) == made.block(LSN, block[12:301], first=300)
    assert redo_8_0_30.walk(cut, LSN) == redo_format.MysqlWalk(0, redo_format.MysqlWalkEnd.INCOMPLETE, 212)


def test_a_block_without_data() -> None:
    assert redo_8_0_30.render_block(WRAP + 512) == made.block(WRAP + 512, b"", first=0)


# --- encrypted blocks


def test_encrypted_and_plain_blocks_are_walked_together() -> None:
    plain = blocks(6)
    pieces = [plain[offset : offset + 512] for offset in range(0, 3072, 512)]
    mixed = b"".join(CIPHER.encrypt(piece) if number in (2, 3, 5) else piece for number, piece in enumerate(pieces))
    assert mixed != plain
    assert redo_8_0_30.walk(mixed, LSN) == redo_format.MysqlWalk(1024, redo_format.MysqlWalkEnd.ENCRYPTED)
    assert redo_8_0_30.walk(mixed, LSN, CIPHER) == redo_format.MysqlWalk(3072, redo_format.MysqlWalkEnd.WINDOW)
    assert CIPHER.decrypt(mixed) == plain
    damaged = bytearray(mixed)
    damaged[1024 + 400] ^= 1
    assert redo_8_0_30.walk(damaged, LSN, CIPHER) == redo_format.MysqlWalk(1024, redo_format.MysqlWalkEnd.CHECKSUM)


def test_the_cipher_agrees_with_that_of_tablespaces() -> None:
    plain = blocks(1)
    encrypted = CIPHER.encrypt(plain)
    assert CIPHER._key.decrypt(encrypted[12:]) == plain[12:]


def test_an_encrypted_block_is_cut_and_stays_encrypted() -> None:
    plain = blocks(1)
    cut = redo_8_0_30.cut_block(CIPHER.encrypt(plain), 200, CIPHER)
    assert redo_8_0_30.is_encrypted(cut)
    assert plain[12:100] not in cut
    assert CIPHER.decrypt(cut) == redo_8_0_30.cut_block(plain, 200)
    with pytest.raises(ValueError, match="key"):
        redo_8_0_30.cut_block(cut, 100)


# --- the log of a backup


@pytest.fixture
def logfile(tmp_path: Path) -> Path:
    """A log of 20 blocks and a part, with a checkpoint in its first block."""
    path = tmp_path / "xtrabackup_logfile"
    last = made.block(LSN + 20 * 512, b"l" * 50)
    path.write_bytes(redo_8_0_30.render_header(redo_format.MysqlCheckpoint(LSN + 77), made.UUID) + blocks(20) + last)
    return path


END = LSN + 20 * 512 + 62


def test_a_log_is_inspected(logfile: Path) -> None:
    creator = redo.parse_header(logfile.read_bytes(), "log").creator
    assert inspect_logfile(logfile) == LogFileSummary(6, creator, LSN, LSN + 77, END, False)


def test_a_log_of_perconas_tool_keeps_the_start_lsn_of_the_servers_file(logfile: Path) -> None:
    data = bytearray(logfile.read_bytes())
    data[:512] = made.header(LSN - 512 * 300, 8, creator=b"xtrabkup 261121 10:00:00")
    logfile.write_bytes(data + bytes(5000))  # and may be padded
    assert inspect_logfile(logfile).end_lsn == END
    move_into_redo_directory(logfile, logfile.parent, 16384)
    header = redo.parse_header((logfile.parent / "#innodb_redo" / "#ib_redo0").read_bytes(), "log")
    assert (header.start_lsn, header.flags, header.creator) == (LSN, 0, "xtrabkup 261121 10:00:00")


@pytest.mark.parametrize("block", [0, 7, 19])
def test_a_damaged_block_is_found(logfile: Path, block: int) -> None:
    data = bytearray(logfile.read_bytes())
    data[2048 + block * 512 + 100] ^= 4
    logfile.write_bytes(data)
    with pytest.raises(RedoCorrupt, match=f"damaged at LSN {LSN + block * 512} .file offset {2048 + block * 512}:"):
        inspect_logfile(logfile)


def test_a_log_that_was_cut_short_says_where_it_ends(logfile: Path) -> None:
    data = logfile.read_bytes()
    logfile.write_bytes(data[: 2048 + 10 * 512])
    assert inspect_logfile(logfile).end_lsn == LSN + 10 * 512
    logfile.write_bytes(data[: 2048 + 10 * 512 + 100])
    with pytest.raises(RedoCorrupt):
        inspect_logfile(logfile)
    logfile.write_bytes(data[:2048])
    with pytest.raises(RedoCorrupt, match="before its checkpoint"):
        inspect_logfile(logfile)


def test_redo_behind_the_last_block_is_damage(logfile: Path) -> None:
    logfile.write_bytes(logfile.read_bytes() + blocks(1, LSN + 21 * 512))
    with pytest.raises(RedoCorrupt, match="not full"):
        inspect_logfile(logfile)


def test_an_encrypted_log_needs_its_key(logfile: Path) -> None:
    data = logfile.read_bytes()
    logfile.write_bytes(data[:2048] + CIPHER.encrypt(data[2048:2560]) + data[2560:])
    with pytest.raises(DecryptionFailed, match="no key"):
        inspect_logfile(logfile)


def test_a_log_without_a_checkpoint_is_damaged(logfile: Path) -> None:
    logfile.write_bytes(made.head(LSN) + blocks(2))
    with pytest.raises(RedoCorrupt, match="checkpoint"):
        inspect_logfile(logfile)


@pytest.mark.parametrize("page_size", [4096, 16384, 65536])
def test_a_log_becomes_the_servers_own(logfile: Path, page_size: int) -> None:
    before = logfile.read_bytes()
    move_into_redo_directory(logfile, logfile.parent, page_size)
    data = (logfile.parent / "#innodb_redo" / "#ib_redo0").read_bytes()
    assert data == before.ljust(65536, b"\0")
    assert not logfile.exists()
    move_into_redo_directory(logfile, logfile.parent, page_size)  # again is harmless


def test_a_move_that_is_interrupted_anywhere_is_finished_by_the_next(tmp_path: Path, logfile: Path) -> None:
    wanted = logfile.read_bytes().ljust(65536, b"\0")
    step = 0
    while killed_at(step, lambda: move_into_redo_directory(logfile, tmp_path, 16384)):
        move_into_redo_directory(logfile, tmp_path, 16384)
        moved = tmp_path / "#innodb_redo" / "#ib_redo0"
        assert moved.read_bytes() == wanted
        moved.rename(logfile)
        (tmp_path / "#innodb_redo").rmdir()
        step += 1
    assert step == 2


def test_another_log_is_never_overwritten(tmp_path: Path, logfile: Path) -> None:
    (tmp_path / "#innodb_redo").mkdir()
    (tmp_path / "#innodb_redo" / "#ib_redo12").write_bytes(b"another")
    with pytest.raises(BackupError, match="#ib_redo12"):
        move_into_redo_directory(logfile, tmp_path, 16384)
    assert logfile.exists()
    logfile.unlink()
    with pytest.raises(NotABackup):
        move_into_redo_directory(logfile, tmp_path, 16384)
