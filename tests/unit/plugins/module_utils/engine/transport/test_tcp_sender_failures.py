# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain TCP: a sender that fails, in whatever way, is never taken for one that has sent everything."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    PeerFailed,
    PeerTimeout,
    StreamCorrupt,
    StreamTruncated,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.digests import Checksum
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.intake import (
    ArchiveIntake,
    DirectoryIntake,
    Intake,
    Received,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tcp_sender import TcpSink
from ansible_collections.innodb.xtrabackup.tests.support.children import same_imports
from ansible_collections.innodb.xtrabackup.tests.support.streams import (
    make_archive,
    raw_archive,
    write_backup,
)

from .tcp_ends import FILES, HERE, Peer, Receiver, ended_in_order, send_bytes, sender, within, write_to_the_end

# --- failures of the sender ----------------------------------------------------------------------


def test_nobody_who_sends_is_a_time_out(tmp_path: Path, port: int) -> None:
    receiver = Receiver(port, DirectoryIntake(tmp_path / "dest"), accept_timeout=1.0)
    with socket.create_connection((HERE, port)):
        error = receiver.failed_with(PeerTimeout)
    assert f"nobody sent anything to {HERE}:{port} within 1 s; 1 connected" in error.message
    assert os.listdir(tmp_path) == []


def test_an_aborted_backup_is_never_taken_for_a_whole_one(tmp_path: Path, port: int) -> None:
    # every entry is there, and another tool's stream needs no manifest: only the reset tells
    receiver = Receiver(port, DirectoryIntake(tmp_path / "dest", ExtractOptions(require_manifest=False)))
    sink = sender(port)
    for name, data in FILES.items():
        with sink.open(name) as file:
            file.write(data)
            file.close()
    time.sleep(0.3)
    with within(2):
        sink.abort(RuntimeError("why"))
    assert "Connection reset by peer" in receiver.failed_with(PeerFailed).message
    assert os.listdir(tmp_path) == []


def test_a_backup_is_aborted_while_a_thread_is_stuck_in_writing(port: int) -> None:
    over = threading.Event()
    errors: list[BaseException] = []

    def work(_connection: socket.socket) -> None:
        over.wait(20)

    peer, sink = Peer(port, work), sender(port)

    def write() -> None:
        try:
            write_to_the_end(sink)
        except BaseException as error:
            errors.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(0.5)
    with within(3):
        sink.abort(RuntimeError("why"))
        writer.join(20)
    assert [getattr(error, "code", "") for error in errors] == ["cancelled"]
    over.set()
    peer.join()


def test_a_killed_sender_is_never_taken_for_a_finished_one(tmp_path: Path, port: int) -> None:
    files = {"db/t.ibd": b"page", "xtrabackup_checkpoints": b"", "xtrabackup_info": b""}
    receiver = Receiver(port, DirectoryIntake(tmp_path / "dest", ExtractOptions(require_manifest=False)))
    program = (
        f"import time; from {TcpSink.__module__} import TcpSink, TcpTarget\n"
        f"sink = TcpSink(TcpTarget({HERE!r}, {port}))\n"
        f"for name, data in {files!r}.items():\n"
        "    with sink.open(name) as file:\n"
        "        file.write(data); file.close()\n"
        "print('sent', flush=True); time.sleep(60)\n"
    )
    environment = same_imports()
    with subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"sent\n"
        process.send_signal(signal.SIGKILL)
    receiver.failed_with(PeerFailed)
    assert os.listdir(tmp_path) == []


def test_a_silent_sender_is_a_time_out(tmp_path: Path, port: int) -> None:
    receiver = Receiver(port, DirectoryIntake(tmp_path / "dest"), timeout=1.0)
    connection = send_bytes(port, raw_archive({"db/t.ibd": b"page"}, None))
    with within(5):
        assert "-N" in receiver.failed_with(PeerTimeout).remedy
    assert not ended_in_order(connection)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", [DirectoryIntake, ArchiveIntake])
@pytest.mark.parametrize("lost", [1, 1000, 3_000_000])
def test_a_truncated_stream_is_a_failure_at_both_ends(tmp_path: Path, port: int, lost: int, kind: type[Intake]) -> None:
    make_archive(tmp_path / "sent", FILES)
    stream = (tmp_path / "sent").read_bytes()[:-lost]
    (tmp_path / "sent").unlink()
    receiver = Receiver(port, kind(tmp_path / "dest"))
    connection = send_bytes(port, stream)
    connection.shutdown(socket.SHUT_WR)
    assert not ended_in_order(connection)
    receiver.failed_with(StreamTruncated)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", [DirectoryIntake, ArchiveIntake])
@pytest.mark.parametrize("algorithm", [None, "zstd"])
def test_wrong_bytes_are_a_failure_at_both_ends(
    tmp_path: Path, port: int, kind: type[Intake], algorithm: str | None
) -> None:
    make_archive(tmp_path / "sent", FILES, algorithm=algorithm)
    stream = bytearray((tmp_path / "sent").read_bytes())
    (tmp_path / "sent").unlink()
    stream[len(stream) // 2] ^= 1
    receiver = Receiver(port, kind(tmp_path / "dest"))
    connection = socket.create_connection((HERE, port))
    with contextlib.suppress(OSError):  # the receiver need not wait for the rest
        connection.sendall(stream)
        connection.shutdown(socket.SHUT_WR)
    assert not ended_in_order(connection)
    receiver.failed_with(StreamCorrupt)
    assert os.listdir(tmp_path) == []


def test_what_is_no_stream_at_all_is_refused(tmp_path: Path, port: int) -> None:
    receiver = Receiver(port, DirectoryIntake(tmp_path / "dest"))
    assert not ended_in_order(send_bytes(port, b"GET / HTTP/1.1\r\n\r\n"))
    receiver.failed_with(StreamCorrupt)


def test_another_checksum_than_was_expected_is_a_failure_at_both_ends(tmp_path: Path, port: int) -> None:
    receiver = Receiver(port, DirectoryIntake(tmp_path / "dest"), checksum=Checksum.parse("sha1:" + "0" * 40))
    with pytest.raises(PeerFailed):
        write_backup(sender(port), FILES)
    assert "0" * 40 in receiver.failed_with(StreamCorrupt).message
    assert os.listdir(tmp_path) == []


def test_a_sender_that_gave_up_before_all_was_durable_is_a_failure(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = DirectoryIntake.finish

    def slowly(self: DirectoryIntake) -> Received:
        time.sleep(2.5)
        return finish(self)

    monkeypatch.setattr(DirectoryIntake, "finish", slowly)
    receiver, sink = Receiver(port, DirectoryIntake(tmp_path / "dest")), sender(port, timeout=1.0)
    with pytest.raises(PeerTimeout) as raised:
        write_backup(sink, FILES)
    sink.abort(raised.value)
    receiver.failed_with(PeerFailed)
    assert os.listdir(tmp_path) == []
