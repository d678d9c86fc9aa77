# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of MySQL's files that change while they are read: what a server does is done while the copier waits."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Callable

import crc32c
import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import copier
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.copier import (
    CopiedTablespace,
    CopierContext,
    UnstableFile,
    copy_tablespace,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.inventory import InnodbFile
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import DecryptionFailed, PageCorrupt
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.keyring import Keyring
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


def sealed(made: bytearray) -> bytearray:
    checksum = crc32c.crc32c(bytes(made[4:26])) ^ crc32c.crc32c(bytes(made[38:-8]))
    made[0:4] = made[-8:-4] = checksum.to_bytes(4, "big")
    return made


def first_page(flags: int = 0x6021, info: bytes = INFO) -> bytearray:
    made = page(0, 8)
    made[38:42], made[54:58] = SPACE.to_bytes(4, "big"), flags.to_bytes(4, "big")
    made[10390 : 10390 + len(info)] = info
    return sealed(made)


class Place:
    """A file that is copied, and what happens to it at each wait."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | bytearray) -> None:
        self.source = directory / "t.ibd"
        self.source.write_bytes(content)
        self.sink = DirectorySink(directory / "copy")
        self.events: list[Callable[[], None]] = []
        self.waits = 0
        monkeypatch.setattr(copier.time, "sleep", self._sleep)

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
        context = CopierContext(SIZE, self.sink.open, threading.Event(), Progress("backup"), family="mysql", **options)
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
    assert place.copy().retried_pages == 1
    assert place.copied == first_page() + NEW + page(2, 16, b"x")
    assert place.waits == 3  # one for each write, and one in which nothing happens


def test_what_is_not_encrypted_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = sealed(page(1, 17855))
    place = Place(tmp_path, monkeypatch, first_page(0x4021, b"") + plain)
    assert place.copy().retried_pages == 0
    assert place.waits == 0


def test_an_encrypted_page_that_never_stays_the_same_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, monkeypatch, first_page() + OLD)
    place.events = [place.put(SIZE + 2000, bytes([number])) for number in range(100)]
    with pytest.raises(PageCorrupt, match="offset 16384 differed at each of 50 readings") as caught:
        place.copy()
    assert "keyring_file" in str(caught.value.remedy)


def test_a_table_that_is_encrypted_while_it_is_copied_is_copied_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ALTER TABLESPACE ... ENCRYPTION = 'Y' does it in place; page 0 was read before."""
    place = Place(tmp_path, monkeypatch, first_page(0x4021, b"") + OLD)
    place.events = [place.put(0, first_page())]
    with pytest.raises(UnstableFile, match="altered while it was copied") as caught:
        place.copy()
    assert caught.value.written


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
