# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS transfers between two ends on this machine: how each end fails, and what the other one then says."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    DiskFull,
    PeerFailed,
    PeerTimeout,
    StreamCorrupt,
    StreamTruncated,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import extract, xbstream
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import tls_framing as framing
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import tls_sender
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_connection import TlsConnection
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_framing import FrameType
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_sender import TlsSink
from ansible_collections.innodb.xtrabackup.tests.support.transfer import TOKEN, Ends, Receiver, make_ends, send

from .conftest import FILES, FakeReceiver, assert_arrived, assert_nothing_arrived, enter, limit

# --- failures of the sender ----------------------------------------------------------------------


@pytest.mark.parametrize("connections", [1, 3])
def test_the_senders_error_reaches_the_receiver(ends: Ends, connections: int) -> None:
    receiver = Receiver(ends)
    sink = TlsSink(ends.target(connections=connections))
    send(sink, FILES)
    with limit(3):
        sink.abort(DiskFull("reading db/t.ibd: it is on fire"))
        receiver.join(3)
    assert isinstance(receiver.error, PeerFailed)
    assert "it is on fire" in receiver.error.message
    assert receiver.error.details["peer_error"]["code"] == "disk_full"
    assert_nothing_arrived(ends)


def write_endlessly(sink: TlsSink, paths: list[str]) -> tuple[list[threading.Thread], list[BaseException]]:
    """Start one writer for each of ``paths``; returns them and the errors that they are going to end with."""
    errors: list[BaseException] = []

    def write(path: str) -> None:
        try:
            with sink.open(path) as file:
                while True:
                    file.write(FILES["db/t.ibd"])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    return threads, errors


def test_the_senders_error_reaches_the_receiver_while_its_other_threads_are_writing(ends: Ends) -> None:
    receiver = Receiver(ends)
    sink = TlsSink(ends.target())
    threads, errors = write_endlessly(sink, ["db/0.ibd", "db/1.ibd"])
    time.sleep(0.5)
    with limit(5):
        sink.abort(DiskFull("it is on fire"))
        for thread in threads:
            thread.join()
        receiver.join(5)
    assert len(errors) == 2
    assert isinstance(receiver.error, PeerFailed)
    assert "it is on fire" in receiver.error.message
    assert_nothing_arrived(ends)


def test_the_senders_error_reaches_the_receiver_although_all_writers_are_stuck_in_a_frame(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, gate = extract.EntryWriter.take, threading.Event()

    def gated_take(*arguments: Any) -> int:
        gate.wait(30)
        return take(*arguments)

    monkeypatch.setattr(extract.EntryWriter, "take", gated_take)
    monkeypatch.setattr(tls_sender, "_KEPT", 256 << 20)
    monkeypatch.setattr(tls_sender, "_KEPT_BY_LINK", 128 << 20)
    receiver = Receiver(ends)
    sink = TlsSink(ends.target())
    threads, errors = write_endlessly(sink, ["db/0.ibd", "db/1.ibd"])
    deadline, before = time.monotonic() + 20, [-1, -1]
    while before != (before := [link._sent for link in sink._links]):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert all(link.connection._broken for link in sink._links)
    threading.Timer(0.4, gate.set).start()
    with limit(10):
        sink.abort(DiskFull("it is on fire"))
        for thread in threads:
            thread.join()
        receiver.join(10)
    assert len(errors) == 2
    assert isinstance(receiver.error, PeerFailed)
    assert "it is on fire" in receiver.error.message
    assert_nothing_arrived(ends)


def test_an_end_in_the_middle_of_a_frame_is_a_failure(ends: Ends) -> None:
    receiver = Receiver(ends, timeout=1.0)
    connection = enter(ends)
    chunk = b"".join(xbstream.render_payload(b"db/t.ibd", 0, [b"x" * 1000]))
    connection._socket.send(framing.render_header(FrameType.DATA, len(chunk)) + chunk[:-1])
    with limit(3):
        connection.shut()
        receiver.join(3)
    assert isinstance(receiver.error, PeerFailed)
    assert_nothing_arrived(ends)


def test_an_end_between_frames_but_before_the_end_frame_is_a_failure(ends: Ends) -> None:
    receiver = Receiver(ends, timeout=1.0)
    sink = TlsSink(ends.target())
    sink._write_manifest(send(sink, FILES).render())
    for channel in sink._channels[1:]:
        channel.end({})
    sink._session.close()
    receiver.join(3)
    assert isinstance(receiver.error, PeerFailed)
    assert_nothing_arrived(ends)


def test_a_sender_that_vanishes_after_its_last_byte_gets_nothing_published(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = extract.Extractor.finish
    finished: list[manifest.Manifest | None] = []

    def slow_finish(self: extract.Extractor) -> manifest.Manifest | None:
        time.sleep(1.5)
        finished.append(finish(self))
        return finished[0]

    monkeypatch.setattr(extract.Extractor, "finish", slow_finish)
    receiver = Receiver(ends, timeout=1.0)
    sink = TlsSink(ends.target())
    sink._write_manifest(send(sink, FILES).render())
    for channel in sink._channels:
        channel.end({})
    sink._session.close()
    receiver.join(5)
    assert finished, "the stream itself was complete"
    assert isinstance(receiver.error, PeerFailed)
    assert_nothing_arrived(ends)


@pytest.mark.parametrize("difference", [-1, 1])
def test_an_end_frame_with_another_count_is_a_failure(ends: Ends, difference: int) -> None:
    receiver = Receiver(ends)
    sink = TlsSink(ends.target(connections=1))
    sink._write_manifest(send(sink, FILES).render())
    link = sink._links[0]
    link.end(framing.End(link.position + difference))
    receiver.join(3)
    assert isinstance(receiver.error, StreamTruncated)
    assert_nothing_arrived(ends)
    sink.abort(receiver.error)


def test_frames_that_do_not_belong_there_are_a_failure(ends: Ends) -> None:
    receiver = Receiver(ends)
    connection = enter(ends)
    connection.send(FrameType.WELCOME, b"{}")
    with pytest.raises(PeerFailed, match="WELCOME frame among its data"):
        connection.receive_control()
    receiver.join(3)
    assert isinstance(receiver.error, StreamCorrupt)
    assert_nothing_arrived(ends)


def test_a_silent_sender_is_given_up_after_the_time_out(ends: Ends) -> None:
    receiver = Receiver(ends, timeout=0.6)
    began = time.monotonic()
    connection = enter(ends)
    receiver.join(4)
    assert 0.5 < receiver.ended_at - began < 3.5
    assert isinstance(receiver.error, PeerTimeout)
    connection.close()
    assert_nothing_arrived(ends)


def test_a_session_without_all_of_its_connections_is_given_up(ends: Ends) -> None:
    receiver = Receiver(ends, timeout=0.6)
    connection = enter(ends, 0, 2)
    for _number in range(10):
        connection.send(FrameType.HEARTBEAT)
        time.sleep(0.1)
    receiver.join(4)
    assert isinstance(receiver.error, PeerTimeout)
    assert "only 1 of 2 connections" in receiver.error.message
    assert_nothing_arrived(ends)


def test_a_sender_that_dies_before_all_of_its_connections_are_in_is_given_up_after_the_time_out(ends: Ends) -> None:
    receiver = Receiver(ends, timeout=1.0)
    connection = enter(ends, 0, 2)
    with limit(3):
        connection.shut()
        receiver.join(3)
    assert isinstance(receiver.error, PeerFailed)
    assert_nothing_arrived(ends)


# --- failures of the receiver --------------------------------------------------------------------


def test_the_receivers_error_reaches_a_sender_that_is_writing(ends: Ends) -> None:
    receiver = Receiver(ends)
    sink = TlsSink(ends.target())
    sink._channels[1].write([b"this is no chunk of any stream" * 10])

    def write_on() -> None:
        with sink.open("db/t.ibd") as file:
            while True:
                file.write(FILES["db/t.ibd"])

    with limit(4), pytest.raises(PeerFailed, match="wrong magic") as caught:
        write_on()
    sink.abort(caught.value)
    receiver.join(3)
    assert isinstance(receiver.error, StreamCorrupt)
    assert_nothing_arrived(ends)


def test_the_receivers_error_reaches_a_sender_that_waits_for_its_confirmation(ends: Ends) -> None:
    receiver = Receiver(ends)
    sink = TlsSink(ends.target())
    complete = send(sink, FILES)
    wrong = replace(complete, files=tuple(replace(entry, digest="0" * 32) for entry in complete.files))
    with pytest.raises(PeerFailed, match="other content"):
        sink.publish(wrong)
    sink.abort(StreamCorrupt("x"))
    receiver.join(3)
    assert isinstance(receiver.error, StreamCorrupt)
    assert_nothing_arrived(ends)


def test_a_full_disk_of_the_receiver_ends_both_by_name(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> int:
        raise DiskFull("writing db/t.ibd: No space left on device")

    monkeypatch.setattr(extract.EntryWriter, "take", full)
    receiver = Receiver(ends)
    sink = TlsSink(ends.target())
    with pytest.raises(PeerFailed, match="No space left"), limit(4):
        for number in range(1000):
            send(sink, {f"db/{number}.ibd": FILES["db/t.ibd"]})
    sink.abort(StreamCorrupt("x"))
    receiver.join(3)
    assert isinstance(receiver.error, DiskFull)
    assert_nothing_arrived(ends)


def test_a_receiver_that_stops_reading_and_is_silent_is_given_up_after_the_time_out(ends: Ends) -> None:
    fake = FakeReceiver(ends, 2)
    sink = TlsSink(ends.target(timeout=0.6))
    with limit(5), pytest.raises(PeerTimeout):
        send(sink, {"a.ibd": b"x" * (64 << 20), "b.ibd": b"y" * (64 << 20)})
    with limit(5):
        sink.abort(StreamCorrupt("x"))
    fake.close()


def test_a_receiver_that_never_confirms_is_given_up_after_the_time_out(ends: Ends) -> None:
    fake = FakeReceiver(ends, 2)
    sink = TlsSink(ends.target(timeout=0.6))
    with limit(5), pytest.raises(PeerTimeout):
        sink.publish(manifest.Manifest({"id": "x"}, ()))
    sink.abort(StreamCorrupt("x"))
    fake.close()


def test_the_loss_of_one_link_stops_the_writers_of_all(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Receiver(ends)
    sink = TlsSink(ends.target(connections=3, timeout=1.0))

    def nobody(_seconds: float) -> tuple[TlsConnection, framing.Welcome]:
        raise PeerTimeout("it cannot be reached")

    def lose_one() -> None:
        sink._links[1]._connect = nobody
        sink._links[1].connection.shut()

    threading.Timer(0.3, lose_one).start()
    with limit(6), pytest.raises(PeerTimeout, match="did not come back within 1 s"):
        for number in range(10_000):
            send(sink, {f"{letter}{number}.ibd": FILES["db/t.ibd"] for letter in "abc"})
    sink.abort(StreamCorrupt("x"))
    receiver.join(3)
    assert isinstance(receiver.error, PeerFailed)
    assert_nothing_arrived(ends)


def test_a_confirmation_of_another_backup_is_no_confirmation(ends: Ends) -> None:
    fake = FakeReceiver(ends, 1)
    sink = TlsSink(ends.target(connections=1))
    fake._thread.join()
    ack = framing.Ack("/srv/x", "0" * 64)
    threading.Timer(0.3, lambda: fake.connections[0].send(FrameType.ACK, framing.render_message(ack))).start()
    with pytest.raises(StreamCorrupt, match="another manifest"):
        sink.publish(manifest.Manifest({"id": "x"}, ()))
    sink.abort(StreamCorrupt("x"))
    fake.close()


def test_after_a_failure_the_same_destination_can_be_used_again(ends: Ends) -> None:
    receiver = Receiver(ends)
    sink = TlsSink(ends.target())
    send(sink, FILES)
    sink.abort(DiskFull("x"))
    receiver.join(3)
    renewed = make_ends(ends.directory, token=TOKEN[::-1])
    receiver = Receiver(renewed)
    sink = TlsSink(renewed.target())
    sink.publish(send(sink, FILES))
    receiver.join()
    assert_arrived(renewed)


def test_a_connection_that_the_kernel_gives_up_was_lost_by_the_network_not_ended_by_the_receiver(ends: Ends) -> None:
    receiver = FakeReceiver(ends)  # never reads, so that the kernel's own time-out is the first to be over
    sink = TlsSink(ends.target(timeout=6, connections=1))
    for link in sink._links:
        link.connection._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000)
    threads, errors = write_endlessly(sink, ["db/0.ibd"])
    with limit(20):
        for thread in threads:
            thread.join()
        sink.abort(errors[0])
    receiver.close()
    assert isinstance(errors[0], PeerTimeout), errors[0]
    assert "the network lost the connection with the receiver" in errors[0].message
