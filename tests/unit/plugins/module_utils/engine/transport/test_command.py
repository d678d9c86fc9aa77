# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pipelines of commands: no shell, every status counts, nothing is left running, nothing waits for ever."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    CommandFailed,
    InvalidOption,
    MissingProgram,
    PeerTimeout,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import extract, listing
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.command import CommandSink
from ansible_collections.innodb.xtrabackup.tests.support.streams import some_files, write_backup

QUICK = 20  # seconds, for what must not wait


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", f"import os, sys, time\n{code}", *arguments]


def store(path: Path) -> list[str]:
    return python("open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())", str(path))


def children() -> set[str]:
    listing = Path(f"/proc/self/task/{os.getpid()}/children")
    return set(listing.read_text().split())


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


def test_the_last_command_gets_the_archive(tmp_path: Path) -> None:
    sink = CommandSink([["cat"], ["cat"], store(tmp_path / "got")], compress=Compression("zstd"))
    published = write_backup(sink, some_files())
    assert published["path"] is None
    manifest = extract.verify_archive(source_at(tmp_path / "got"))
    assert manifest is not None
    assert {file.path for file in manifest.files} == set(some_files())


def test_words_are_no_shell_code(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    write_backup(CommandSink([python("sys.stdin.buffer.read()", f"; touch {marker}", "$(id)", "|", "*")]), some_files())
    assert not marker.exists()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_failure_of_any_member_fails_the_backup_with_its_message(place: int) -> None:
    commands = [["cat"], ["cat"], python("sys.stdin.buffer.read()")]
    commands[place] = python("sys.stdin.buffer.read(); sys.exit('no space at the far end')")
    sink = CommandSink(commands)
    with pytest.raises(CommandFailed, match="ended with status 1.*no space at the far end") as caught:
        write_backup(sink, some_files())
    statuses = [member["status"] for member in caught.value.details["commands"]]
    assert statuses[place] == 1
    sink.abort(caught.value)


def test_a_member_that_stops_reading_ends_the_backup_quickly() -> None:
    sink = CommandSink([["cat"], python("sys.stdin.buffer.read(1000); sys.exit('broken')")])
    started = time.monotonic()
    with pytest.raises(CommandFailed, match="broken") as caught, sink.open("t.ibd") as file:
        for _repeat in range(100):
            file.write(bytes(4 << 20))
    assert time.monotonic() - started < QUICK
    sink.abort(caught.value)


def test_a_member_that_ends_well_but_early_is_a_failure_too() -> None:
    sink = CommandSink([python("sys.stdin.buffer.read(1000)")])
    with pytest.raises(CommandFailed, match="stopped reading"), sink.open("t.ibd") as file:
        for _repeat in range(100):
            file.write(bytes(4 << 20))
    sink.abort(RuntimeError())


def test_a_broken_pipe_ends_many_writers_quickly() -> None:
    sink = CommandSink([python("sys.stdin.buffer.read(1000); sys.exit(3)")], compress=Compression("zstd", 1, 4))
    errors = []

    def write(number: int) -> None:
        try:
            with sink.open(f"t{number}.ibd") as file:
                while True:
                    file.write(os.urandom(2 << 20))
        except XtrabackupError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(10)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(QUICK)
    assert time.monotonic() - started < QUICK
    assert len(errors) == 10
    assert {(type(error), str(error)) for error in errors} == {(CommandFailed, str(errors[0]))}
    sink.abort(errors[0])


def test_a_pipeline_that_takes_nothing_is_given_up() -> None:
    sink = CommandSink([python("time.sleep(600)")], stall_timeout=0.2)
    with pytest.raises(PeerTimeout, match="took no data"), sink.open("t.ibd") as file:
        for _repeat in range(100):
            file.write(bytes(4 << 20))
    sink.abort(RuntimeError())


def test_abort_ends_members_that_do_not_want_to_and_writers_that_wait() -> None:
    stubborn = python(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', file=sys.stderr); time.sleep(600)"
    )
    sink = CommandSink([stubborn])
    failed = threading.Event()

    def write() -> None:
        try:
            with sink.open("t.ibd") as file:
                while True:
                    file.write(bytes(4 << 20))
        except XtrabackupError:
            failed.set()

    threading.Thread(target=write, daemon=True).start()
    started = time.monotonic()
    sink.abort(RuntimeError("the server is gone"))
    assert failed.wait(QUICK)
    assert time.monotonic() - started < QUICK


def test_an_aborted_command_does_not_see_the_end_of_a_backup(tmp_path: Path) -> None:
    sink = CommandSink([store(tmp_path / "got")])
    with sink.open("t.ibd") as file:
        file.write(bytes(4 << 20))
        sink.abort(RuntimeError("why"))
    assert not (tmp_path / "got").exists() or not (tmp_path / "got").read_bytes()


def test_much_talk_on_stderr_blocks_nothing_and_is_kept_in_part() -> None:
    talk = "sys.stderr.write('x' * 3_000_000 + 'the last words'); sys.stdin.buffer.read(); sys.exit(1)"
    sink = CommandSink([python(talk)])
    with pytest.raises(CommandFailed, match="the last words$") as caught:
        write_backup(sink, some_files())
    assert len(caught.value.message) < 20_000
    sink.abort(caught.value)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_missing_program_is_named(place: int) -> None:
    commands = [["cat"], ["cat"], ["cat"]]
    commands[place] = ["/no/such/program"]
    with pytest.raises(MissingProgram, match="/no/such/program"):
        CommandSink(commands)


@pytest.mark.parametrize("commands", [[], [[]], [["cat"], []], [["cat", 5]]])
def test_what_is_no_list_of_commands_is_refused(commands: list[list[str]]) -> None:
    with pytest.raises(InvalidOption, match="stream_to"):
        CommandSink(commands)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    write_backup(CommandSink([["cat"], store(tmp_path / "got")]), some_files())
    sink = CommandSink([["cat"], ["cat"]])
    sink.abort(RuntimeError())
    deadline = time.monotonic() + QUICK
    while set(os.listdir("/proc/self/fd")) - before and time.monotonic() < deadline:
        time.sleep(0.01)  # the threads that drain stderr close theirs
    assert set(os.listdir("/proc/self/fd")) <= before


def test_publishing_an_empty_backup_still_writes_the_manifest(tmp_path: Path) -> None:
    CommandSink([store(tmp_path / "got")]).publish(Manifest({"id": "1"}, ()))
    assert listing.list_archive(source_at(tmp_path / "got")).manifest is not None
