# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql import redo_files, redo_follower
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql.redo_files import RedoFile
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql.redo_follower import (
    MysqlRedoFollower,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    Cancelled,
    DiskFull,
    RedoCorrupt,
    RedoOverwritten,
    ServerError,
    StorageError,
    UnsupportedServer,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql import (
    redo,
    redo_8_0_30,
    redo_format,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.redo_status import RedoStatus
from ansible_collections.innodb.xtrabackup.tests.support import redo_files_mysql as made
from ansible_collections.innodb.xtrabackup.tests.support.following_mysql import ArchivedLog, Following, overtake
from ansible_collections.innodb.xtrabackup.tests.support.held_still import held_still
from ansible_collections.innodb.xtrabackup.tests.support.redo_files_mysql import SyntheticRedo


@pytest.fixture
def log(tmp_path: Path) -> SyntheticRedo:
    """Some redo over three files, and a checkpoint in the first."""
    log = SyntheticRedo(tmp_path / "#innodb_redo")
    log.fill(40)
    log.append(b"tail")
    log.checkpoint(log.start_lsn + 700)
    return log


@pytest.fixture
def follow() -> Iterator[Any]:
    started: list[Following] = []

    def start(log: SyntheticRedo, output: Any = None, archive: str = "") -> Following:
        following = Following(log, output, archive)
        started.append(following)
        following.follower.start()
        return following

    yield start
    for following in started:
        following.follower.stop()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up on bytes that must be there after some tries instead of seconds."""
    monkeypatch.setattr(redo_follower, "_TORN_RETRIES", 5)
    monkeypatch.setattr(redo_files, "_RETRIES", 5)


def expected(log: SyntheticRedo, follower: MysqlRedoFollower, target: int) -> bytes:
    """The blocks of ``log`` from the checkpoint's on, the last one cut by hand."""
    start = redo_format.block_start(follower.checkpoint_lsn) - log.start_lsn
    whole, used = divmod(target - log.start_lsn, 512)
    data = bytes(log.linear[start : whole * 512])
    if used:
        last = log.linear[whole * 512 : whole * 512 + used]
        data += made.block(log.start_lsn + whole * 512, bytes(last[12:]), first=12 if used > 12 else 0)
    return data


# --- the copy


def test_the_copy_is_the_log_from_the_checkpoints_block_to_exactly_the_target(log: SyntheticRedo, follow: Any) -> None:
    following = follow(log)
    follower = following.follower
    assert follower.checkpoint_lsn == log.start_lsn + 700
    target = log.fill(20) and log.append(b"and more")
    log.append(b"too late")
    assert follower.follow_until(target, 10) == follower.lsn == target
    assert following.blocks == expected(log, follower, target)
    assert follower.copied_bytes == len(following.blocks)
    assert follower.peak_mib_per_second > 0
    assert following.failures == []
    head = following.output.getvalue()[:2048]
    assert redo.parse_header(head, "log").start_lsn == log.start_lsn + 512
    assert redo_8_0_30.newest_checkpoint(head) == redo_format.MysqlCheckpoint(follower.checkpoint_lsn)


@pytest.mark.parametrize("back", [0, 1, 3, 512, 900, 5000])
def test_what_is_written_after_the_hold_is_not_copied(log: SyntheticRedo, follow: Any, back: int) -> None:
    following = follow(log)
    follower = following.follower
    following.expect(lambda: follower.lsn == redo_format.block_start(log.lsn))
    follower.hold()
    log.append(b"before the instant" * 300)
    instant = log.lsn - back
    log.fill(50)
    time.sleep(0.1)
    assert follower.lsn < log.lsn - 20 * 512
    assert follower.follow_until(instant, 10) == instant
    assert following.blocks == expected(log, follower, instant)


def test_a_target_without_a_byte_in_its_block_needs_no_block_in_the_log(log: SyntheticRedo, follow: Any) -> None:
    following = follow(log)
    log.append(b"x" * (508 - log.lsn % 512))
    assert log.lsn % 512 == 0
    assert following.follower.follow_until(log.lsn + 12, 10) == log.lsn + 12
    assert following.blocks[-512:] == made.block(log.lsn, b"", first=0)


def test_files_are_recycled_behind_the_follower(log: SyntheticRedo, follow: Any) -> None:
    following = follow(log)
    follower = following.follower
    for number in range(60):
        log.fill(5, number)
        following.expect(lambda: follower.lsn >= redo_format.block_start(log.lsn))
        log.checkpoint(follower.lsn)
    assert len(log.files) < 3
    assert log.files[-1][0] > 20
    assert follower.follow_until(log.lsn, 10) == log.lsn
    assert following.blocks == expected(log, follower, log.lsn)


@pytest.mark.parametrize("blocks", [2, 9])
def test_a_file_that_is_filled_and_recycled_after_it_was_read_is_read_on(
    log: SyntheticRedo, follow: Any, blocks: int
) -> None:
    log.append(b"x" * (508 - log.lsn % 512))
    following = follow(log)
    follower = following.follower
    following.expect(lambda: follower.lsn == log.lsn)
    is_current = RedoFile.is_current
    left = (log.end_lsn - log.lsn) // 512
    assert left > 3
    done: list[int] = []

    def late(file: RedoFile) -> bool:
        if not done:
            done.append(log.fill(left + blocks))
            log.checkpoint(log.lsn - 512)
        return is_current(file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RedoFile, "is_current", late)
        following.expect(lambda: done)
        following.expect(lambda: follower.lsn == log.lsn or following.failures)
    assert following.failures == []
    assert follower.follow_until(log.lsn, 10) == log.lsn
    assert following.blocks == expected(log, follower, log.lsn)


def test_block_numbers_start_again_in_the_midst(tmp_path: Path, follow: Any) -> None:
    log = SyntheticRedo(tmp_path / "redo", start_lsn=(1 << 39) - 20 * 512)
    log.fill(10)
    log.checkpoint(log.start_lsn + 12)
    following = follow(log)
    log.fill(40)
    assert following.follower.follow_until(log.lsn, 10) == log.lsn > 1 << 39
    assert following.blocks == expected(log, following.follower, log.lsn)


def test_a_torn_block_is_read_again(log: SyntheticRedo, follow: Any) -> None:
    following = follow(log)
    follower = following.follower
    log.append(b"x" * (508 - log.lsn % 512))
    following.expect(lambda: follower.lsn == log.lsn)
    base = log.lsn
    whole = made.block(base, b"y" * 496)
    log._write(base, whole[:256])
    time.sleep(0.1)
    assert follower.lsn == base
    log._write(base, whole)
    following.expect(lambda: follower.lsn == base + 512)
    assert following.failures == []


def test_progress_is_told_also_when_nothing_is_new(
    log: SyntheticRedo, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redo_follower, "_PROGRESS_INTERVAL", 0.02)
    following = follow(log)
    following.expect(lambda: len(following.progress) > 5)
    assert following.progress[-1] == redo_format.block_start(log.lsn)
    following.follower.hold()
    log.fill(30)
    following.expect(lambda: following.progress[-1] == redo_format.block_start(log.lsn))
    assert following.follower.lsn < log.lsn - 20 * 512


def test_what_is_read_ahead_is_bounded_and_then_no_sign_of_life_is_given(
    log: SyntheticRedo, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redo_follower, "_PROGRESS_INTERVAL", 0.001)
    monkeypatch.setattr(redo_follower, "_LARGEST_AHEAD", 10 * 512)
    following = follow(log)
    following.expect(lambda: following.follower.lsn == redo_format.block_start(log.lsn))
    following.follower.hold()
    log.fill(100)
    time.sleep(0.2)
    reported = len(following.progress)
    time.sleep(0.1)
    assert len(following.progress) == reported
    assert following.follower.follow_until(log.lsn, 10) == log.lsn
    assert following.blocks == expected(log, following.follower, log.lsn)


# --- the archive


@pytest.fixture
def archive(log: SyntheticRedo) -> ArchivedLog:
    return ArchivedLog(log)


def test_what_was_recycled_is_read_from_the_archive_and_the_tail_from_the_log(
    log: SyntheticRedo, archive: ArchivedLog, follow: Any
) -> None:
    following = follow(log, archive=str(archive.path))
    follower = following.follower
    for _time in range(3):
        overtake(following, archive)
        following.expect(lambda: follower.lsn == redo_format.block_start(log.lsn))
        following.expect(lambda: not follower._in_archive)
    archive.path.unlink()  # the open file stays
    follower.hold()
    assert follower.follow_until(log.lsn, 10) == log.lsn
    assert following.blocks == expected(log, follower, log.lsn)
    assert following.failures == []


def test_an_archive_that_is_behind_is_waited_for(log: SyntheticRedo, archive: ArchivedLog, follow: Any) -> None:
    following = follow(log, archive=str(archive.path))
    follower = following.follower
    overtake(following, archive)
    following.expect(lambda: follower.lsn == redo_format.block_start(log.lsn))
    archive.catch_up()
    with held_still(follower):
        time.sleep(0.1)
        log.fill(200)
        log.checkpoint(log.lsn - 100)
    following.expect(lambda: follower._in_archive)
    time.sleep(0.1)
    assert follower.lsn < log.lsn - 100 * 512
    assert following.failures == []
    archive.catch_up()
    assert follower.follow_until(log.lsn, 10) == log.lsn
    assert following.blocks == expected(log, follower, log.lsn)


def test_a_target_amid_the_archive_is_reached_there(log: SyntheticRedo, archive: ArchivedLog, follow: Any) -> None:
    following = follow(log, archive=str(archive.path))
    follower = following.follower
    following.expect(lambda: follower.lsn == redo_format.block_start(log.lsn))
    follower.hold()
    target = log.lsn + 50 * 512
    overtake(following, archive)
    assert follower.follow_until(target, 10) == target
    assert following.blocks == expected(log, follower, target)


def test_an_archive_that_begins_too_late_does_not_help(log: SyntheticRedo, follow: Any) -> None:
    log.fill(5)
    archive = ArchivedLog(log)
    archive.start_lsn += 20 * 512  # behind the file that the follower has open
    following = follow(log, archive=str(archive.path))
    overtake(following, archive)
    following.expect(lambda: following.failures)
    (error,) = following.failures
    assert isinstance(error, RedoOverwritten)
    assert f"starts later (LSN {archive.start_lsn})" in error.message


@pytest.mark.parametrize("damaged", [False, True])
def test_an_archive_that_ended_or_is_damaged_is_not_waited_for_for_ever(
    log: SyntheticRedo, archive: ArchivedLog, follow: Any, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    monkeypatch.setattr(redo_follower, "_ARCHIVE_WAIT", 0.2)
    following = follow(log, archive=str(archive.path))
    follower = following.follower
    wrong = redo_format.block_start(log.lsn) + 40 * 512

    def stop_there() -> None:
        if damaged:
            catch_up(damage=wrong)
        else:
            catch_up()
            with archive.path.open("r+b") as file:
                file.truncate(4096 + wrong - archive.start_lsn)

    catch_up = archive.catch_up
    monkeypatch.setattr(archive, "catch_up", stop_there)
    overtake(following, archive)
    following.expect(lambda: following.failures)
    (error,) = following.failures
    assert isinstance(error, RedoOverwritten)
    assert "ends there, too" in error.message
    assert error.details["lsn"] == follower.lsn == wrong
    assert following.blocks == expected(log, follower, wrong)


def test_an_archive_that_is_gone_is_none(log: SyntheticRedo, archive: ArchivedLog, follow: Any) -> None:
    archive.path.unlink()
    following = follow(log, archive=str(archive.path))
    assert following.follower.follow_until(log.lsn, 10) == log.lsn


# --- failures


def test_a_log_that_went_on_without_the_follower_is_overwritten(log: SyntheticRedo, follow: Any) -> None:
    following = follow(log)
    follower = following.follower
    following.expect(lambda: follower.lsn == redo_format.block_start(log.lsn))
    with held_still(follower):
        time.sleep(0.1)
        log.fill(200)
        following.status = RedoStatus(log.lsn, log.lsn - 100, made.UUID)
        log.checkpoint(log.lsn - 100)
        copied = follower.copied_bytes
    following.expect(lambda: following.failures)
    (error,) = following.failures
    assert isinstance(error, RedoOverwritten)
    assert error.details["behind"] == log.lsn - follower.lsn
    assert error.details["capacity"] == (log.size - 2048) * len(log.files)
    assert follower.copied_bytes <= copied + 16 * 512
    assert following.blocks == expected(log, follower, follower.lsn)
    with pytest.raises(RedoOverwritten):
        follower.follow_until(log.lsn, 1)


def test_a_damaged_block_that_the_server_has_checkpointed_is_an_error(
    log: SyntheticRedo, follow: Any, quick: None
) -> None:
    damaged = log.start_lsn + 30 * 512
    log._write(damaged, b"?" * 512)
    following = follow(log)
    following.status = RedoStatus(log.lsn, log.start_lsn + 700, made.UUID)
    time.sleep(0.1)
    assert following.failures == []  # it may still be written
    following.status = RedoStatus(log.lsn, damaged + 512, made.UUID)
    following.expect(lambda: following.failures)
    assert isinstance(following.failures[0], RedoCorrupt)
    assert following.failures[0].details["lsn"] == damaged == following.follower.lsn


def test_a_target_that_is_never_written_is_not_waited_for_for_ever(log: SyntheticRedo, follow: Any) -> None:
    following = follow(log)
    with pytest.raises(ServerError, match="did not reach LSN .* nothing more could be read"):
        following.follower.follow_until(log.lsn + 1, 0.2)


def test_a_target_behind_the_copy_is_refused(log: SyntheticRedo, follow: Any) -> None:
    following = follow(log)
    following.expect(lambda: following.follower.lsn == redo_format.block_start(log.lsn))
    with pytest.raises(ServerError, match="after the target"):
        following.follower.follow_until(log.start_lsn + 2000, 10)


def test_a_target_behind_the_copy_that_is_set_amid_a_step_copies_nothing(log: SyntheticRedo, follow: Any) -> None:
    following = follow(log)
    follower = following.follower
    following.expect(lambda: follower.lsn == redo_format.block_start(log.lsn))
    follower.stop()
    copied, lsn = following.blocks, follower.lsn
    follower._ahead += made.block(lsn, bytes(496))
    follower._copy_until(lsn - 14, bytearray(), 0)
    assert (following.blocks, follower.lsn) == (copied, lsn)


def test_the_log_of_another_server_is_refused(log: SyntheticRedo) -> None:
    following = Following(log)
    following.status = RedoStatus(log.lsn, log.start_lsn, made.UUID + 1)
    with pytest.raises(UnsupportedServer, match="not the redo log of the server"):
        following.follower.start()
    assert following.output.getvalue() == b""


@pytest.mark.parametrize("flags", [1, 2, 3, 4])
def test_logging_that_is_disabled_is_refused_at_the_start_and_noticed_later(
    log: SyntheticRedo, follow: Any, flags: int
) -> None:
    number, start = log.files[-1]
    following = follow(log)
    log._put(number, 0, made.header(start, flags))
    following.expect(lambda: following.failures)
    assert isinstance(following.failures[0], UnsupportedServer)
    with pytest.raises(UnsupportedServer, match="disabled"):
        follow(log)


def test_a_directory_without_a_log_is_refused(tmp_path: Path, quick: None) -> None:
    log = SyntheticRedo(tmp_path / "redo")
    with pytest.raises(RedoCorrupt, match="no valid checkpoint"):
        Following(log).follower.start()
    log.path(7).rename(log.directory / "#ib_redo8_tmp")
    with pytest.raises(RedoCorrupt, match="no valid checkpoint"):
        Following(log).follower.start()
    log.directory.rename(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="redo"):
        Following(log).follower.start()


class FullDisk(io.BytesIO):
    def write(self, data: Any) -> int:
        if self.tell() > 5000:
            raise DiskFull("no space left on the target")
        return super().write(data)


def test_an_output_that_fails_ends_the_follower(log: SyntheticRedo, follow: Any) -> None:
    log.fill(100)
    following = follow(log, FullDisk())
    log.fill(100)
    following.expect(lambda: following.failures)
    with pytest.raises(DiskFull):
        following.follower.follow_until(log.lsn, 1)


def test_stop_ends_it_without_a_failure(log: SyntheticRedo, follow: Any) -> None:
    following = follow(log)
    following.follower.stop()
    with pytest.raises(Cancelled):
        following.follower.follow_until(log.lsn + 5000, 1)
    assert following.failures == []
    following.follower.stop()
