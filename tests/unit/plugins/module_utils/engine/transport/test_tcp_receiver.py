# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain TCP: what arrives, who counts as the sender, and how a sender learns that its receiver has failed."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    DiskFull,
    InvalidOption,
    PeerFailed,
    PeerTimeout,
    StorageError,
    TargetNotEmpty,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.output import FileOutput
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.intake import (
    ArchiveIntake,
    DirectoryIntake,
    Intake,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tcp_sender import TcpSink, TcpTarget
from ansible_collections.innodb.xtrabackup.tests.support.streams import (
    make_archive,
    prints,
    raw_archive,
    tree,
    write_backup,
)

from .tcp_ends import (
    FILES,
    HERE,
    Peer,
    Receiver,
    break_off,
    ended_in_order,
    send_bytes,
    sender,
    within,
    write_to_the_end,
)

# --- transfers that succeed ----------------------------------------------------------------------


def test_what_is_sent_is_unpacked_and_both_ends_know_the_same_digest(tmp_path: Path, port: int) -> None:
    receiver = Receiver(port, DirectoryIntake(tmp_path / "dest"))
    published = write_backup(sender(port), FILES)
    receiver.join()
    assert receiver.received
    assert receiver.received.manifest
    assert receiver.received.verified
    assert receiver.received.digests == published["digests"]
    arrived = tree(tmp_path / "dest")
    assert hashlib.sha256(arrived.pop(MANIFEST_NAME)).hexdigest() == published["sha256"]
    assert prints(arrived) == prints(FILES)
    assert os.listdir(tmp_path) == ["dest"]


def test_what_is_sent_is_stored_byte_by_byte(tmp_path: Path, port: int) -> None:
    receiver = Receiver(port, ArchiveIntake(tmp_path / "archive"))
    published = write_backup(sender(port), FILES)
    receiver.join()
    digest = hashlib.sha256((tmp_path / "archive").read_bytes()).hexdigest()
    assert receiver.received
    assert receiver.received.digests == published["digests"] == {"sha256": digest}
    assert os.listdir(tmp_path) == ["archive"]


def test_connections_that_send_nothing_are_not_the_sender(tmp_path: Path, port: int) -> None:
    receiver = Receiver(port, DirectoryIntake(tmp_path / "dest"))
    with socket.create_connection((HERE, port)) as silent:
        socket.create_connection((HERE, port)).close()
        break_off(socket.create_connection((HERE, port)))
        time.sleep(0.5)
        write_backup(sender(port), FILES)
        receiver.join()
        assert receiver.received
        assert ended_in_order(silent)


def test_a_foreign_stream_is_taken_when_asked_for(tmp_path: Path, port: int) -> None:
    files = {"db/t.ibd": b"page", "xtrabackup_checkpoints": b"", "xtrabackup_info": b""}
    receiver = Receiver(port, DirectoryIntake(tmp_path / "dest", ExtractOptions(require_manifest=False)))
    connection = send_bytes(port, raw_archive(files, None))
    connection.shutdown(socket.SHUT_WR)
    assert ended_in_order(connection)
    receiver.join()
    assert tree(tmp_path / "dest") == files


def test_a_sender_that_hangs_up_at_once_after_a_whole_stream_has_sent_it(tmp_path: Path, port: int) -> None:
    make_archive(tmp_path / "sent", FILES)
    receiver = Receiver(port, ArchiveIntake(tmp_path / "archive"))
    send_bytes(port, (tmp_path / "sent").read_bytes()).close()
    receiver.join()
    assert receiver.error is None
    assert (tmp_path / "archive").read_bytes() == (tmp_path / "sent").read_bytes()


def test_a_sender_waits_for_who_listens_later(tmp_path: Path, port: int) -> None:
    started: list[Receiver] = []
    timer = threading.Timer(0.7, lambda: started.append(Receiver(port, DirectoryIntake(tmp_path / "dest"))))
    timer.start()
    write_backup(sender(port), FILES)
    timer.join()
    started[0].join()
    assert started[0].received


@pytest.mark.parametrize("options", [["-l"], ["-l", "-N"], ["-d", "-l"]], ids=lambda options: "nc " + " ".join(options))
@pytest.mark.parametrize("standard_input", ["empty", "open"])
def test_nc_stores_what_is_sent(tmp_path: Path, port: int, options: list[str], standard_input: str) -> None:
    with open(tmp_path / "archive", "wb") as archive:
        listening = subprocess.Popen(
            ["nc", *options, HERE, str(port)],
            stdin=subprocess.PIPE if standard_input == "open" else subprocess.DEVNULL,
            stdout=archive,
        )
    try:
        published = write_backup(sender(port), FILES)
        assert listening.wait(10) == 0
    finally:
        listening.kill()
        if listening.stdin:
            listening.stdin.close()
    assert published["digests"]["sha256"] == hashlib.sha256((tmp_path / "archive").read_bytes()).hexdigest()


def test_nc_sends_what_is_unpacked(tmp_path: Path, port: int) -> None:
    make_archive(tmp_path / "sent", FILES)
    receiver = Receiver(port, DirectoryIntake(tmp_path / "dest"))
    with open(tmp_path / "sent", "rb") as archive:
        done = subprocess.run(["nc", "-N", HERE, str(port)], stdin=archive, check=True, timeout=20)
    receiver.join()
    assert done.returncode == 0
    assert receiver.received
    assert receiver.received.manifest


# --- failures of the receiver --------------------------------------------------------------------


def test_nobody_who_listens_is_a_time_out_that_names_the_place(port: int) -> None:
    with within(5), pytest.raises(PeerTimeout, match=f"{HERE}:{port} cannot be reached within 1 s.*refused"):
        TcpSink(TcpTarget(HERE, port, connect_timeout=1.0))


def test_a_name_that_does_not_exist_is_a_time_out(port: int) -> None:
    with within(15), pytest.raises(PeerTimeout, match=r"no\.such\.host\.invalid"):
        TcpSink(TcpTarget("no.such.host.invalid", port, connect_timeout=0.5))


def test_a_receiver_that_breaks_off_in_the_middle_is_a_failure(port: int) -> None:
    def work(connection: socket.socket) -> None:
        connection.recv(100_000)
        break_off(connection)

    peer, sink = Peer(port, work), sender(port)
    with within(5), pytest.raises(PeerFailed, match=r"the receiver .* broke"):
        write_backup(sink, FILES)
    sink.abort(RuntimeError("why"))
    peer.join()


def test_a_receiver_that_breaks_off_after_the_last_byte_is_a_failure(port: int) -> None:
    def work(connection: socket.socket) -> None:
        while connection.recv(1 << 20):
            pass
        time.sleep(0.3)
        break_off(connection)

    peer, sink = Peer(port, work), sender(port)
    with within(5), pytest.raises(PeerFailed, match=r"the receiver .* broke"):
        write_backup(sink, FILES)
    peer.join()


def test_a_receiver_that_ends_its_side_first_must_still_take_everything(port: int) -> None:
    def work(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.5)
        connection.recv(100_000)
        break_off(connection)

    peer, sink = Peer(port, work), sender(port)
    with within(5), pytest.raises(PeerFailed, match=r"the receiver .* broke"):
        write_backup(sink, FILES)
    peer.join()


@pytest.mark.parametrize("takes", ["nothing", "everything"])
def test_a_silent_receiver_is_a_time_out(port: int, takes: str) -> None:
    over = threading.Event()

    def work(connection: socket.socket) -> None:
        while takes == "everything" and connection.recv(1 << 20):
            pass
        over.wait(20)

    peer, sink = Peer(port, work), sender(port, timeout=1.0)
    files = {**FILES, "db/larger.ibd": bytes(32 << 20)}
    with within(10), pytest.raises(PeerTimeout, match="the receiver"):
        write_backup(sink, files)
    sink.abort(RuntimeError("why"))
    over.set()
    peer.join()


@pytest.mark.parametrize("kind", [DirectoryIntake, ArchiveIntake])
def test_a_receiver_whose_disk_is_full_tells_the_sender(
    tmp_path: Path, port: int, kind: type[Intake], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise DiskFull("writing: No space left on device")

    if kind is DirectoryIntake:
        monkeypatch.setattr(FileOutput, "write", full)
    else:
        monkeypatch.setattr(durable.WriteBehind, "wrote", full)
    receiver, sink = Receiver(port, kind(tmp_path / "dest")), sender(port)
    with within(5), pytest.raises(PeerFailed):
        write_to_the_end(sink)
    sink.abort(RuntimeError("why"))
    receiver.failed_with(DiskFull)
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_published_is_reset(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise StorageError("publishing: it is on fire")

    monkeypatch.setattr(durable, "publish", fail)
    receiver = Receiver(port, ArchiveIntake(tmp_path / "dest"))
    with pytest.raises(PeerFailed):
        write_backup(sender(port), FILES)
    receiver.failed_with(StorageError)
    assert os.listdir(tmp_path) == []


# --- what is refused before ----------------------------------------------------------------------


def test_a_port_that_is_taken_is_refused_and_leaves_nothing(tmp_path: Path, port: int) -> None:
    with socket.create_server((HERE, port)):
        Receiver(port, DirectoryIntake(tmp_path / "dest")).failed_with(InvalidOption)
    assert os.listdir(tmp_path) == []


def test_an_archive_that_is_there_is_left_alone_unless_it_may_be_replaced(tmp_path: Path, port: int) -> None:
    dest = tmp_path / "archive"
    dest.write_bytes(b"precious")
    Receiver(port, ArchiveIntake(dest)).failed_with(TargetNotEmpty)
    assert dest.read_bytes() == b"precious"
    receiver = Receiver(port, ArchiveIntake(dest, ExtractOptions(force=True)))
    sink = sender(port)
    sink.abort(RuntimeError("why"))
    write_backup(sender(port), FILES)
    receiver.join()
    assert receiver.received
    assert os.listdir(tmp_path) == ["archive"]
    assert dest.read_bytes() != b"precious"
    Receiver(port, ArchiveIntake(tmp_path, ExtractOptions(force=True))).failed_with(TargetNotEmpty)
