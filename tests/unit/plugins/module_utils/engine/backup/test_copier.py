# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of files that change while they are read: what a server does is done while the copier waits."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any, Callable

import crc32c
import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import torn_pages
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.copier import (
    CopiedTablespace,
    CopierContext,
    FileIdentity,
    UnstableFile,
    copy_tablespace,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.inventory import InnodbFile
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import DecryptionFailed, PageCorrupt
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.keyring import Keyring
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink

SIZE = 16384
SPACE = 7
INFO = b"lCC" + (1).to_bytes(4, "big") + b"u" * 36 + bytes(64) + bytes(4)


def page(number: int, page_type: int, body: bytes = b"") -> bytearray:
    """A page without a checksum, as an encrypted one is for who lacks the key."""
    made = bytearray(SIZE)
    made[4:8], made[24:26], made[34:38] = (
        number.to_bytes(4, "big"),
        page_type.to_bytes(2, "big"),
        SPACE.to_bytes(4, "big"),
    )
    made[0:4] = b"\x55" * 4
    made[38 : 38 + len(body)] = body
    return made


def with_checksum(made: bytearray) -> bytearray:
    checksum = crc32c.crc32c(bytes(made[4:26])) ^ crc32c.crc32c(bytes(made[38:-8]))
    made[0:4] = made[-8:-4] = checksum.to_bytes(4, "big")
    return made


def first_page(flags: int = 0x6021, info: bytes = INFO) -> bytearray:
    made = page(0, 8)
    made[38:42], made[54:58] = SPACE.to_bytes(4, "big"), flags.to_bytes(4, "big")
    made[10390 : 10390 + len(info)] = info
    return with_checksum(made)


class Place:
    """A file that is copied, and what happens to it at each wait."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | bytearray) -> None:
        self.source = directory / "t.ibd"
        self.source.write_bytes(content)
        self.sink = DirectorySink(directory / "copy")
        self.events: list[Callable[[], None]] = []
        self.waits = 0
        monkeypatch.setattr(torn_pages.time, "sleep", self._sleep)

    def _sleep(self, _seconds: float) -> None:
        self.waits += 1
        if self.events:
            self.events.pop(0)()

    def put(self, offset: int, data: bytes | bytearray) -> Callable[[], None]:
        def write() -> None:
            with open(self.source, "r+b") as file:
                file.seek(offset)
                file.write(data)

        return write

    def copy(self, **options: Any) -> CopiedTablespace:
        context = CopierContext(
            SIZE, self.sink.open, threading.Event(), Progress("backup"), family=Family.MYSQL, **options
        )
        file = InnodbFile("d/t.ibd", self.source, self.source.stat().st_size)
        return copy_tablespace(file, context, memoryview(bytearray(1 << 20)))

    @property
    def copied(self) -> bytes:
        return (self.sink.staging / "d/t.ibd").read_bytes()


OLD, NEW = bytes(page(1, 15, b"old" * 1000)), bytes(page(1, 15, b"new" * 1000))
TORN = NEW[:1000] + OLD[1000:]


def test_an_encrypted_page_that_is_being_written_is_read_until_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, monkeypatch, first_page() + TORN + page(2, 16, b"x"))
    place.events = [place.put(SIZE, OLD[:500]), place.put(SIZE, NEW)]
    copied = place.copy()
    assert (copied.retried_pages, copied.unverified) == (1, 2)
    assert place.copied == first_page() + NEW + page(2, 16, b"x")
    assert place.waits == 3  # one for each write, and one in which nothing happens


def without_checksum(made: bytearray) -> bytearray:
    made[0:4] = made[-8:-4] = (0xDEADBEEF).to_bytes(4, "big")
    return made


def test_a_page_that_was_written_without_a_checksum_is_read_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """innodb_checksum_algorithm=none: only the LSN at both ends would tell that such a page is torn."""
    old, new = (bytes(without_checksum(page(1, 17855, body * 4000))) for body in (b"old", b"new"))
    place = Place(
        tmp_path, monkeypatch, first_page(0x4021, b"") + new[:8192] + old[8192:] + with_checksum(page(2, 17855))
    )
    place.events = [place.put(SIZE, new)]
    copied = place.copy()
    assert (copied.retried_pages, copied.unverified, copied.pages) == (1, 1, 3)
    assert place.copied == place.source.read_bytes()


def test_a_file_that_nobody_has_written_for_long_is_read_twice_without_a_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, monkeypatch, first_page() + OLD)
    os.utime(place.source, (0, time.time() - 60))
    assert place.copy().unverified == 1
    assert place.waits == 0


def test_all_of_a_file_is_copied_however_many_windows_are_read_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torn_pages, "_WINDOW_PAGES", 100)
    encrypted = b"".join(bytes(page(number, 15, number.to_bytes(2, "big") * 5000)) for number in range(1, 250))
    place = Place(tmp_path, monkeypatch, first_page() + encrypted)
    place.events = [place.put(230 * SIZE, page(230, 15, b"other"))]
    copied = place.copy()
    assert (copied.pages, copied.unverified) == (250, 249)
    assert place.copied == place.source.read_bytes()


def test_what_is_not_encrypted_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = with_checksum(page(1, 17855))
    place = Place(tmp_path, monkeypatch, first_page(0x4021, b"") + plain)
    copied = place.copy()
    assert (copied.retried_pages, copied.unverified) == (0, 0)
    assert place.waits == 0


def test_a_write_that_is_stalled_for_seconds_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last write began moments ago, so the torn page need not be a damaged one."""
    whole = bytes(with_checksum(page(1, 17855, b"new" * 4000)))
    place = Place(tmp_path, monkeypatch, first_page(0x4021, b"") + whole[:8192] + bytes(8192))
    place.events = [lambda: None] * 250 + [place.put(SIZE, whole)]
    assert place.copy().retried_pages == 1
    assert place.waits == 251
    assert place.copied == first_page(0x4021, b"") + whole


@pytest.mark.parametrize(("age", "waits"), [(0, 300), (60, 10)])
def test_a_page_that_stays_torn_is_damaged_sooner_where_nobody_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: int, waits: int
) -> None:
    place = Place(tmp_path, monkeypatch, first_page(0x4021, b"") + bytes(with_checksum(page(1, 17855)))[:-1] + b"x")
    os.utime(place.source, (0, time.time() - age))
    with pytest.raises(PageCorrupt, match=r"page 1 \(offset 16384\) is damaged"):
        place.copy()
    assert place.waits == waits


def test_an_encrypted_page_that_never_stays_the_same_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, monkeypatch, first_page() + OLD)
    place.events = [place.put(SIZE + 2000, bytes([number])) for number in range(100)]
    with pytest.raises(PageCorrupt, match="offset 16384, of which no checksum can be verified, differed") as caught:
        place.copy()
    assert "keyring_file" in str(caught.value.remedy)


def test_a_fresh_reading_is_of_any_part_of_a_file(tmp_path: Path) -> None:
    """With O_DIRECT, where the file system has it, and without."""
    content = os.urandom(5 * 4096 + 777)
    source = tmp_path / "file"
    source.write_bytes(content)
    with open(source, "rb") as file:
        readers = [torn_pages.FreshReader(file.fileno()) for _each in range(2)]
        readers[1].close()
        for reader in readers:
            for offset, size in ((0, 4096), (1024, 1024), (3000, 9000), (4 * 4096, 4096), (20_000, 5000), (30_000, 10)):
                target = memoryview(bytearray(size))
                count = reader.read(target, offset)
                assert bytes(target[:count]) == content[offset : offset + size]
        readers[0].close()


def test_a_table_that_is_encrypted_while_it_is_copied_is_copied_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ALTER TABLESPACE ... ENCRYPTION = 'Y' does it in place; page 0 was read before."""
    place = Place(tmp_path, monkeypatch, first_page(0x4021, b"") + OLD)
    place.events = [place.put(0, first_page())]
    with pytest.raises(UnstableFile, match="altered while it was copied") as caught:
        place.copy()
    assert caught.value.written
    assert place.waits == 10  # it is not waited for what will not come


def test_an_encrypted_page_in_a_table_that_stays_a_plain_one_is_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, monkeypatch, first_page(0x4021, b"") + OLD)
    with pytest.raises(PageCorrupt, match="page 0 names no key"):
        place.copy()


def test_a_file_that_is_truncated_while_it_is_read_twice_is_copied_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, monkeypatch, first_page() + OLD)

    def truncate() -> None:
        place.source.write_bytes(first_page())

    place.events = [truncate]
    with pytest.raises(UnstableFile, match="truncated"):
        place.copy()


def test_a_keyring_without_the_key_is_an_error_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, monkeypatch, first_page() + OLD)
    (tmp_path / "keyring").touch()
    with pytest.raises(DecryptionFailed, match=r"t\.ibd: it is encrypted"):
        place.copy(keyring=Keyring.read(tmp_path / "keyring"))
    assert not (place.sink.staging / "d/t.ibd").exists()


def test_holes_of_compressed_pages_stay_holes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path, monkeypatch, first_page() + page(1, 16, b"x" * 3000) + bytes(SIZE) + page(3, 15, b"y"))
    place.copy()
    assert place.copied == place.source.read_bytes()
    assert (place.sink.staging / "d/t.ibd").stat().st_blocks * 512 == 4 * SIZE - 3 * 4096


def test_a_file_that_took_the_inode_of_a_removed_one_is_another_file(tmp_path: Path) -> None:
    path = tmp_path / "t.ibd"
    seen = set()
    for _life in range(20):
        path.write_bytes(b"x")
        descriptor = os.open(path, os.O_RDONLY)
        seen.add(FileIdentity.of(descriptor))
        os.close(descriptor)
        path.unlink()
    assert len(seen) == 20
