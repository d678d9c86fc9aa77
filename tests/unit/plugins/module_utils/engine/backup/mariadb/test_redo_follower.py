# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb import redo_files, redo_follower
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb.redo_follower import RedoFollower
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    Cancelled,
    DiskFull,
    RedoCorrupt,
    RedoOverwritten,
    RedoReplaced,
    ServerError,
    StorageError,
    UnsupportedServer,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mariadb import (
    redo,
    redo_10_8,
    redo_format,
)
from ansible_collections.innodb.xtrabackup.tests.support import redo_log
from ansible_collections.innodb.xtrabackup.tests.support.held_still import held_still
from ansible_collections.innodb.xtrabackup.tests.support.redo_log import SyntheticLog, record

HEADER_SIZE = 12288


class Following:
    """A follower of a synthetic log, what it wrote, and what it reported."""

    def __init__(self, log: SyntheticLog, output: Any = None) -> None:
        self.log = log
        self.output = output or io.BytesIO()
        self.failures: list[XtrabackupError] = []
        self.asked = 0
        self.follower = RedoFollower(
            str(log.path), "10.11.19-MariaDB", self._current_lsn, self.output, self.failures.append
        )

    def _current_lsn(self) -> int:
        self.asked += 1
        return self.log.lsn

    @property
    def copied(self) -> bytes:
        """Mini-transactions that were written out."""
        return bytes(self.output.getvalue()[HEADER_SIZE:])

    def expect(self, condition: Any, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the follower did not get there"
            time.sleep(0.002)


@pytest.fixture
def followings() -> Iterator[list[Following]]:
    started: list[Following] = []
    yield started
    for following in started:
        following.follower.stop()
        following.log.close()


@pytest.fixture
def follow(followings: list[Following]) -> Any:
    def start(log: SyntheticLog, output: Any = None) -> Following:
        following = Following(log, output)
        followings.append(following)
        following.follower.start()
        return following

    return start


@pytest.fixture
def log(tmp_path: Path) -> SyntheticLog:
    """A log of 64 KiB with some redo and a checkpoint."""
    made = SyntheticLog(tmp_path / "ib_logfile0", 12288 + (64 << 10))
    made.checkpoint(made.append(record(100)))
    return made


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up on bytes that must be there after some tries instead of seconds."""
    for module in (redo_follower, redo_files):
        monkeypatch.setattr(module, "_TORN_RETRIES", 5)


def linear_from(log: SyntheticLog, lsn: int) -> bytes:
    return bytes(log.linear[lsn - log.first_lsn :])


# --- the copy


def test_the_copy_is_the_log_from_the_checkpoint_on(log: SyntheticLog, follow: Any) -> None:
    following = follow(log)
    start, end = following.follower.checkpoint_lsn, following.follower.end_lsn
    assert (start, end) == (12288, 12288 + 105)
    for number in range(100):
        log.append(record(2 + number), record(40))
    assert following.follower.follow_until(log.lsn, 10) == log.lsn
    assert following.copied == linear_from(log, start)
    assert following.follower.copied_bytes == len(following.copied)
    assert following.follower.lsn == log.lsn
    assert following.follower.peak_mib_per_second > 0
    assert following.failures == []
    data = following.output.getvalue()
    header = redo.parse_header(data, len(data), "copy")
    assert (header.first_lsn, header.creator) == (start, "Backup 10.11.19")
    assert redo_10_8.newest_checkpoint(data, header) == redo_format.MariadbCheckpoint(start, end)
    walked = redo_10_8.walk(bytearray(data[HEADER_SIZE:]), start, header)
    assert walked.size == len(data) - HEADER_SIZE


def test_many_laps_become_one_line(log: SyntheticLog, follow: Any) -> None:
    following = follow(log)
    start = following.follower.checkpoint_lsn
    for number in range(3000):
        log.append(record(17 + number % 300, fill=number % 256))
        if number % 20 == 0:
            log.checkpoint(following.follower.lsn)
        following.expect(lambda: log.lsn - following.follower.lsn < 30_000)
    following.follower.follow_until(log.lsn, 10)
    assert log.lsn - start > 7 * log.capacity
    assert following.copied == linear_from(log, start)


def test_a_log_of_6_gib_that_wraps_near_its_end(tmp_path: Path, follow: Any) -> None:
    file_size = 6 << 30
    capacity = file_size - 12288
    log = SyntheticLog(tmp_path / "ib_logfile0", file_size, lsn=12288 + 5 * capacity - 5000)
    assert log.path.stat().st_blocks * 512 < 1 << 20
    start = log.lsn
    log.checkpoint(start)
    following = follow(log)
    for number in range(200):
        log.append(record(100, fill=number))
    following.follower.follow_until(log.lsn, 10)
    assert log.lsn > 12288 + 5 * capacity > start
    assert following.copied == log.linear
    assert following.follower.checkpoint_lsn == start > 4 << 30


def test_a_mini_transaction_larger_than_a_read(tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redo_follower, "_SMALL_READ", 256)
    monkeypatch.setattr(redo_follower, "_LARGE_READ", 1024)
    log = SyntheticLog(tmp_path / "ib_logfile0", 12288 + (256 << 10))
    log.checkpoint(log.lsn, *(redo_log.name_record(number, f"./db/t{number}.ibd") for number in range(200)))
    following = follow(log)
    log.append(*[record(9000, fill=number) for number in range(10)])
    log.append(record(60_000))
    following.follower.follow_until(log.lsn, 10)
    assert following.copied == log.linear


def test_old_bytes_behind_the_tail_are_not_followed(log: SyntheticLog, follow: Any) -> None:
    """Stale bytes that look like a record of a gigabyte: no huge reads, and what is written later is found."""
    log.write(log.lsn, b"\x30\xf0\x30\x00\x00\x00" + b"\x77" * 300)
    following = follow(log)
    following.expect(lambda: following.follower.lsn == log.lsn)
    time.sleep(0.1)
    log.append(record(33))
    following.follower.follow_until(log.lsn, 10)
    assert following.copied == linear_from(log, following.follower.checkpoint_lsn)


def test_redo_that_is_written_late_is_waited_for(log: SyntheticLog, follow: Any) -> None:
    following = follow(log)
    target = log.lsn + 2 * 106

    def write_late() -> None:
        for _number in range(2):
            time.sleep(0.15)
            log.append(record(101))

    threading.Thread(target=write_late).start()
    assert following.follower.follow_until(target, 10) == target


def test_it_ends_at_the_first_boundary_behind_the_target(log: SyntheticLog, follow: Any) -> None:
    following = follow(log)
    following.expect(lambda: following.follower.lsn == log.lsn)
    boundary = log.lsn + 106
    with held_still(following.follower) as let_go:
        for _number in range(5):
            log.append(record(101))
        threading.Timer(0.1, let_go).start()
        assert following.follower.follow_until(boundary - 3, 10) == boundary
    assert following.copied == linear_from(log, following.follower.checkpoint_lsn)[: len(following.copied)]
    assert following.follower.lsn == boundary


def test_the_copy_reaches_behind_its_file_checkpoint_even_for_an_early_target(log: SyntheticLog, follow: Any) -> None:
    following = follow(log)
    last = following.follower.follow_until(following.follower.checkpoint_lsn, 10)
    assert last >= following.follower.end_lsn + 16
    assert redo_log.file_checkpoint(following.follower.checkpoint_lsn) in following.copied


def test_the_server_is_not_asked_while_the_checkpoint_is_proof_enough(log: SyntheticLog, follow: Any) -> None:
    following = follow(log)
    for _number in range(50):
        log.append(record(50))
    following.follower.follow_until(log.lsn, 10)
    assert following.asked == 0


def test_a_checkpoint_that_is_being_written_is_read_again(tmp_path: Path, follow: Any) -> None:
    log = SyntheticLog(tmp_path / "ib_logfile0", 12288 + (64 << 10))
    end_lsn = log.append(redo_log.file_checkpoint(12288))
    good = redo_log.render_checkpoint(12288, end_lsn)
    os.pwrite(log.descriptor, good[:20], 4096)
    threading.Timer(0.1, os.pwrite, (log.descriptor, good, 4096)).start()
    assert follow(log).follower.checkpoint_lsn == 12288


def test_newest_checkpoint_reads_the_log_again(log: SyntheticLog, follow: Any) -> None:
    following = follow(log)
    started = following.follower.checkpoint_lsn
    lsn = log.append(record(9))
    end_lsn = log.checkpoint(lsn)
    assert following.follower.newest_checkpoint() == redo_format.MariadbCheckpoint(lsn, end_lsn)
    assert following.follower.checkpoint_lsn == started


# --- the proof


@pytest.mark.parametrize("laps", [1, 2, 3])
def test_an_overwritten_log_is_noticed_and_nothing_of_it_is_copied(log: SyntheticLog, follow: Any, laps: int) -> None:
    """The follower is held still while the server goes round; with two laps even the sequence bits look right."""
    following = follow(log)
    following.expect(lambda: following.follower.lsn == log.lsn)
    with held_still(following.follower):
        time.sleep(0.12)
        before, lsn = following.copied, log.lsn
        size = 5 + 123
        while log.lsn < lsn + laps * log.capacity + 2 * size:
            log.append(record(size - 5, fill=0x5A))
        log.checkpoint(log.lsn)
    with pytest.raises(RedoOverwritten) as caught:
        following.follower.follow_until(log.lsn, 10)
    assert following.failures == [caught.value]
    assert following.copied == before
    details = caught.value.details
    assert details["lsn"] == lsn
    assert details["behind"] == log.lsn - lsn
    assert details["capacity"] == log.capacity
    assert "64.0 KiB" in caught.value.message
    assert "innodb_log_file_size" in caught.value.remedy


def test_two_laps_that_parse_are_refused_only_by_the_proof(log: SyntheticLog, follow: Any) -> None:
    """At the follower's place, the bytes of two laps later form a perfect mini-transaction."""
    following = follow(log)
    following.expect(lambda: following.follower.lsn == log.lsn)
    with held_still(following.follower):
        time.sleep(0.12)
        before, lsn = following.copied, log.lsn
        log.lsn = lsn + 2 * log.capacity
        log.append(record(50))
        window = bytearray(os.pread(log.descriptor, 55, 12288 + (lsn - 12288) % log.capacity))
        header = redo_format.LogHeader(12288, "", log.file_size)
        assert redo_10_8.walk(window, lsn, header).count == 1
        log.write_checkpoint(log.lsn - 55, log.lsn - 55)
    with pytest.raises(RedoOverwritten):
        following.follower.follow_until(lsn + 10, 10)
    assert following.copied == before


@pytest.mark.parametrize(("laps", "good"), [(1.2, True), (1.9, True), (2.1, False)])
def test_what_was_read_in_time_is_copied_though_the_server_is_a_lap_ahead_when_it_is_checked(
    log: SyntheticLog, followings: list[Following], laps: float, good: bool
) -> None:
    """Up to two laps the sequence bits prove what was read; what comes behind it is lost all the same."""
    following = Following(log)
    followings.append(following)
    for number in range(20):
        log.append(record(500, fill=number))
    with held_still(following.follower):
        following.follower.start()
        read = following.follower.checkpoint_lsn
        time.sleep(0.12)  # it has read now
        lsn = log.lsn
        while log.lsn < read + laps * log.capacity:
            log.append(record(700))
        log.checkpoint(log.lsn)
    with pytest.raises(RedoOverwritten) as caught:
        following.follower.follow_until(log.lsn, 10)
    end_lsn = following.follower.end_lsn
    assert following.copied == (bytes(log.linear[: end_lsn - log.first_lsn]) if good else b"")
    assert caught.value.details["lsn"] == (end_lsn if good else read) < lsn


def test_just_less_than_a_lap_is_still_good(log: SyntheticLog, follow: Any) -> None:
    following = follow(log)
    following.expect(lambda: following.follower.lsn == log.lsn)
    with held_still(following.follower):
        time.sleep(0.12)
        lsn = log.lsn
        while log.lsn < lsn + log.capacity - 4096 - 1200:
            log.append(record(995, fill=3))
        log.checkpoint(log.lsn)
    following.follower.follow_until(log.lsn, 10)
    assert following.copied == linear_from(log, following.follower.checkpoint_lsn)
    assert following.asked > 0


def test_a_blocked_output_loses_the_log_with_a_clear_error(log: SyntheticLog, follow: Any) -> None:
    gate = threading.Event()

    class Slow(io.BytesIO):
        def write(self, data: Any) -> int:
            if self.tell() > HEADER_SIZE:
                gate.wait(10)
            return super().write(data)

    following = follow(log, Slow())
    for _lap in range(3):
        lsn = log.lsn
        while log.lsn < lsn + log.capacity:
            log.append(record(400))
        log.checkpoint(log.lsn)
        time.sleep(0.05)
    gate.set()
    with pytest.raises(RedoOverwritten):
        following.follower.follow_until(log.lsn, 10)
    assert len(following.failures) == 1


def test_a_replaced_log_is_noticed(log: SyntheticLog, follow: Any, tmp_path: Path) -> None:
    following = follow(log)
    following.expect(lambda: following.follower.lsn == log.lsn)
    SyntheticLog(tmp_path / "ib_logfile101", 12288 + (128 << 10)).close()
    os.rename(tmp_path / "ib_logfile101", log.path)
    with pytest.raises(RedoReplaced, match=r"it had 76\.0 KiB, now 140\.0 KiB"):
        following.follower.follow_until(log.lsn + 1000, 10)


def test_a_resized_log_and_a_new_header_are_noticed(log: SyntheticLog, follow: Any) -> None:
    following = follow(log)
    following.expect(lambda: following.follower.lsn == log.lsn)
    os.pwrite(log.descriptor, redo_log.render_header(12288, creator=b"another"), 0)
    following.expect(lambda: following.follower.error is not None)
    assert isinstance(following.follower.error, RedoReplaced)
    again = follow(log)
    os.ftruncate(log.descriptor, log.file_size - 4096)
    again.expect(lambda: again.follower.error is not None)
    assert isinstance(again.follower.error, RedoReplaced)


def test_a_deleted_log_is_noticed(log: SyntheticLog, follow: Any) -> None:
    following = follow(log)
    log.path.unlink()
    following.expect(lambda: following.follower.error is not None)
    assert isinstance(following.follower.error, RedoReplaced)


# --- damage


@pytest.mark.usefixtures("quick")
def test_damage_before_a_checkpoint_is_corruption(log: SyntheticLog, follow: Any) -> None:
    following = follow(log)
    following.expect(lambda: following.follower.lsn == log.lsn)
    with held_still(following.follower):
        time.sleep(0.12)
        lsn = log.lsn
        log.append(record(101))
        log.append(record(101))
        log.write(lsn + 50, b"\x7f")
        log.checkpoint(log.lsn)
    with pytest.raises(RedoCorrupt) as caught:
        following.follower.follow_until(log.lsn, 10)
    assert caught.value.details["lsn"] == lsn
    assert caught.value.details["offset"] == lsn
    assert f"LSN {lsn}" in caught.value.message
    assert following.copied == linear_from(log, following.follower.checkpoint_lsn)[: len(following.copied)]


def test_a_torn_read_is_read_again(log: SyntheticLog, follow: Any) -> None:
    following = follow(log)
    following.expect(lambda: following.follower.lsn == log.lsn)
    with held_still(following.follower):
        time.sleep(0.12)
        lsn = log.lsn
        data = log.render(record(101))
        log.append(record(101))
        log.write(lsn + 50, b"\x7f")
        log.checkpoint(log.lsn)
    time.sleep(0.2)
    log.write(lsn, data)
    following.follower.follow_until(log.lsn, 10)
    assert following.copied == linear_from(log, following.follower.checkpoint_lsn)


@pytest.mark.usefixtures("quick")
def test_a_checkpoint_without_its_record_is_corruption(tmp_path: Path, follow: Any) -> None:
    log = SyntheticLog(tmp_path / "ib_logfile0", 12288 + (64 << 10))
    end_lsn = log.append(redo_log.file_checkpoint(12289))
    log.append(record(100))
    log.write_checkpoint(12288, end_lsn)
    following = follow(log)
    with pytest.raises(RedoCorrupt, match="no FILE_CHECKPOINT record of checkpoint LSN 12288"):
        following.follower.follow_until(log.lsn, 10)


@pytest.mark.usefixtures("quick")
def test_a_log_without_a_valid_checkpoint_is_refused_at_the_start(tmp_path: Path, follow: Any) -> None:
    log = SyntheticLog(tmp_path / "ib_logfile0", 12288 + (64 << 10))
    with pytest.raises(RedoCorrupt, match="no valid checkpoint"):
        follow(log)


def test_an_encrypted_log_is_refused_at_the_start(log: SyntheticLog, follow: Any) -> None:
    os.pwrite(log.descriptor, redo_log.render_header(12288, key=1), 0)
    with pytest.raises(UnsupportedServer, match="encrypted"):
        follow(log)


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    follower = RedoFollower(str(tmp_path / "ib_logfile0"), "10.11", lambda: 0, io.BytesIO(), lambda error: None)
    with pytest.raises(StorageError, match="ib_logfile0"):
        follower.start()
    follower.stop()


# --- ends


def test_a_target_that_is_never_written_is_an_error_after_the_timeout(log: SyntheticLog, follow: Any) -> None:
    following = follow(log)
    begun = time.monotonic()
    with pytest.raises(ServerError, match=rf"did not reach LSN {log.lsn + 1} within 0\.3 s; it is at LSN {log.lsn}"):
        following.follower.follow_until(log.lsn + 1, 0.3)
    assert time.monotonic() - begun < 5
    assert following.failures == []


def test_stop_ends_the_thread_and_is_no_failure(log: SyntheticLog, follow: Any) -> None:
    following = follow(log)
    following.follower.stop()
    following.follower.stop()
    assert following.failures == []
    with pytest.raises(Cancelled):
        following.follower.follow_until(log.lsn + 1, 1)


def test_a_failing_output_ends_the_follower(log: SyntheticLog, follow: Any) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            if self.tell() >= HEADER_SIZE:
                raise DiskFull("writing ib_logfile0: no space")
            return super().write(data)

    following = follow(log, Full())
    with pytest.raises(DiskFull):
        following.follower.follow_until(log.lsn, 10)
    assert [type(error) for error in following.failures] == [DiskFull]


def test_a_lost_connection_ends_the_follower(log: SyntheticLog) -> None:
    def lost() -> int:
        raise OSError("connection lost")

    failures: list[XtrabackupError] = []
    follower = RedoFollower(str(log.path), "10.11", lost, io.BytesIO(), failures.append)
    follower.start()
    time.sleep(0.1)
    with held_still(follower):
        time.sleep(0.12)
        log.append(record(20))
        log.checkpoint(log.lsn)
    with pytest.raises(ServerError, match="connection lost"):
        follower.follow_until(log.lsn, 10)
    assert len(failures) == 1
    log.close()
