# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS transfers between two ends on this machine: who is let in, and what arrives."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    InvalidOption,
    PeerRefused,
    PeerTimeout,
    TargetBusy,
    TargetNotEmpty,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import extract
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import credentials
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import tls_framing as framing
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.intake import DirectoryIntake, Received
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.session_credentials import (
    StoredCredentials,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_connection import TlsConnection
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_framing import FrameType
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_receiver import receive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_sender import TlsSink
from ansible_collections.innodb.xtrabackup.tests.support.transfer import BLOCK, Ends, Receiver, send

from .conftest import FILES, assert_arrived, assert_nothing_arrived, enter, limit

# --- transfers that succeed ----------------------------------------------------------------------


@pytest.mark.parametrize("connections", [1, 2, 16])
def test_what_is_sent_arrives_and_the_sender_knows_it(ends: Ends, connections: int) -> None:
    receiver = Receiver(ends)
    sink = TlsSink(ends.target(connections=connections))
    answer = sink.publish(send(sink, FILES))
    receiver.join()
    assert receiver.error is None
    assert_arrived(ends)
    stored = (ends.dest / file_kinds.MANIFEST_NAME).read_bytes()
    assert answer["path"] == str(ends.dest)
    assert answer["sha256"] == manifest.digest_of(stored)
    assert receiver.manifest == manifest.parse(stored, "arrived")


def test_hundreds_of_megabytes_arrive_intact_over_parallel_connections(ends: Ends) -> None:
    pattern = random.Random(7).randbytes(40 << 20)
    files = {f"db/t{number}.ibd": pattern[number * 4099 :] for number in range(8)}
    receiver = Receiver(ends)
    sink = TlsSink(ends.target(connections=4))
    sink.publish(send(sink, files))
    receiver.join(60)
    assert receiver.error is None
    assert_arrived(ends, files)


def test_a_compressed_and_encrypted_stream_arrives_as_it_was(ends: Ends) -> None:
    key = b"k" * 32
    outcome: list[Received] = []
    intake = DirectoryIntake(ends.dest, ExtractOptions(decrypt_key=key))
    thread = threading.Thread(target=lambda: outcome.append(receive(ends.listen(), intake)))
    thread.start()
    sink = TlsSink(ends.target(), compress=Compression("zstd", 1, 2), encrypt_key=key)
    sink.publish(send(sink, FILES))
    thread.join(20)
    assert [one.manifest and one.manifest.id for one in outcome] == ["a-backup"]
    assert_arrived(ends)


def test_an_empty_directory_is_an_acceptable_destination(ends: Ends) -> None:
    ends.dest.mkdir()
    receiver = Receiver(ends)
    sink = TlsSink(ends.target())
    sink.publish(send(sink, FILES))
    receiver.join()
    assert_arrived(ends)


def test_a_sender_waits_for_a_receiver_that_starts_later(ends: Ends) -> None:
    started: list[Receiver] = []
    timer = threading.Timer(0.7, lambda: started.append(Receiver(ends)))
    timer.start()
    sink = TlsSink(ends.target())
    sink.publish(send(sink, FILES))
    timer.join()
    started[0].join()
    assert_arrived(ends)


def test_heartbeats_carry_a_transfer_over_pauses_longer_than_the_time_out(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = extract.Extractor.finish

    def slow_finish(self: extract.Extractor) -> manifest.Manifest | None:
        time.sleep(1.5)
        return finish(self)

    monkeypatch.setattr(extract.Extractor, "finish", slow_finish)
    receiver = Receiver(ends, timeout=0.5)
    sink = TlsSink(ends.target(timeout=0.5))
    time.sleep(1.5)
    sink.publish(send(sink, FILES))
    receiver.join()
    assert receiver.error is None
    assert_arrived(ends)


def test_blocks_written_from_a_reused_buffer_arrive_as_they_were(ends: Ends) -> None:
    receiver = Receiver(ends)
    sink = TlsSink(ends.target())
    buffer = bytearray(BLOCK)
    with sink.open("db/t.ibd") as file:
        for number in range(20):
            buffer[:] = bytes([number]) * BLOCK
            file.write(memoryview(buffer))
        entry = file.close()
    sink.publish(manifest.Manifest({"id": "x"}, (entry,)))
    receiver.join()
    assert (ends.dest / "db/t.ibd").read_bytes() == b"".join(bytes([number]) * BLOCK for number in range(20))


# --- who is let in -------------------------------------------------------------------------------


def make_intruder(ends: Ends) -> Path:
    """Credentials that pin the right receiver and have the right token, but another key."""
    path = ends.directory / "go"
    credentials.save(path, with_another_key(credentials.load(ends.sender)))
    return path


def with_another_key(own: credentials.Credentials) -> credentials.Credentials:
    return replace(credentials.create(own.role), peer_certificate=own.peer_certificate, token=own.token)


def test_a_sender_with_another_certificate_is_refused_and_the_right_one_still_gets_in(ends: Ends) -> None:
    receiver = Receiver(ends)
    with pytest.raises(PeerRefused):
        TlsSink(replace(ends.target(), credentials=StoredCredentials(make_intruder(ends))))
    sink = TlsSink(ends.target())
    sink.publish(send(sink, FILES))
    receiver.join()
    assert_arrived(ends)


def test_a_certificate_that_verifies_but_is_not_the_pinned_one_is_refused(ends: Ends) -> None:
    receiver = Receiver(ends, accept_timeout=1.0)
    context = credentials.tls_context(credentials.load(ends.sender))
    raw = socket.create_connection(("127.0.0.1", ends.port))
    connection = TlsConnection(raw, context, "the receiver", time.monotonic() + 5)
    with pytest.raises(PeerRefused, match="another certificate than the pinned one"):
        connection.handshake(credentials.certificate_der(credentials.create("receiver").certificate))
    connection.close()
    receiver.join()


def test_a_sender_refuses_a_receiver_with_another_certificate(ends: Ends) -> None:
    credentials.save(ends.receiver, with_another_key(credentials.load(ends.receiver)))
    receiver = Receiver(ends, accept_timeout=1.0)
    with pytest.raises(PeerRefused, match=r"self.signed"), limit(1.0):
        TlsSink(ends.target())
    receiver.join()
    assert isinstance(receiver.error, PeerTimeout)
    assert "1 turned away" in receiver.error.message
    assert_nothing_arrived(ends)


def test_a_sender_with_another_token_is_refused_and_the_right_one_still_gets_in(ends: Ends) -> None:
    receiver = Receiver(ends)
    intruder = ends.directory / "go"
    credentials.save(intruder, replace(credentials.load(ends.sender), token="f" * 32))
    with pytest.raises(PeerRefused, match="does not have the token"):
        TlsSink(replace(ends.target(), credentials=StoredCredentials(intruder)))
    sink = TlsSink(ends.target())
    sink.publish(send(sink, FILES))
    receiver.join()
    assert_arrived(ends)


def test_a_token_opens_one_session_only(ends: Ends) -> None:
    receiver = Receiver(ends, timeout=1.0)
    first = enter(ends, 0, 2, "first")
    with pytest.raises(PeerRefused, match="has begun already"):
        enter(ends, 0, 1, "second")
    with pytest.raises(PeerRefused, match="unexpectedly"):
        enter(ends, 0, 2, "first")
    first.shut()
    receiver.join()
    assert credentials.load(ends.receiver).token_used
    with pytest.raises(PeerRefused, match="used by an earlier transfer"):
        receive(ends.listen(), DirectoryIntake(ends.dest))


def test_more_connections_than_allowed_are_refused(ends: Ends) -> None:
    receiver = Receiver(ends, max_connections=2, accept_timeout=1.0)
    with pytest.raises(PeerRefused, match="3 connections"):
        TlsSink(ends.target(connections=3))
    receiver.join()
    with pytest.raises(InvalidOption, match="connections"):
        TlsSink(ends.target(connections=17))


def test_intruders_do_not_disturb_the_transfer(ends: Ends) -> None:
    receiver = Receiver(ends)
    address = ("127.0.0.1", ends.port)
    for _number in range(5):
        socket.create_connection(address).close()  # as wait_for does
    silent = socket.create_connection(address)
    talker = socket.create_connection(address)
    talker.sendall(b"GET / HTTP/1.0\r\n\r\n")
    anonymous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anonymous.check_hostname, anonymous.verify_mode = False, ssl.CERT_NONE
    with contextlib.suppress(OSError), anonymous.wrap_socket(socket.create_connection(address)) as nobody:
        nobody.sendall(framing.render_header(FrameType.HELLO, 0))
        assert nobody.recv(1) == b""
    sink = TlsSink(ends.target())
    sink.publish(send(sink, FILES))
    receiver.join()
    silent.close()
    talker.close()
    assert_arrived(ends)


def test_nobody_comes(ends: Ends) -> None:
    receiver = Receiver(ends, accept_timeout=0.5)
    receiver.join(3)
    assert isinstance(receiver.error, PeerTimeout)
    assert "no sender came" in receiver.error.message
    assert_nothing_arrived(ends)


def test_nobody_listens(ends: Ends) -> None:
    with pytest.raises(PeerTimeout, match="Connection refused"), limit(3):
        TlsSink(ends.target(connect_timeout=0.6))


def test_a_port_that_is_taken_is_named(ends: Ends) -> None:
    with socket.create_server(("127.0.0.1", ends.port)), pytest.raises(InvalidOption, match=str(ends.port)):
        receive(ends.listen(), DirectoryIntake(ends.dest))
    assert_nothing_arrived(ends)


# --- destinations --------------------------------------------------------------------------------


def test_a_destination_with_content_is_refused_before_anybody_can_connect(ends: Ends) -> None:
    ends.dest.mkdir()
    (ends.dest / "precious").touch()
    with pytest.raises(TargetNotEmpty, match=str(ends.dest)):
        receive(ends.listen(), DirectoryIntake(ends.dest))
    assert (ends.dest / "precious").exists()
    assert not credentials.load(ends.receiver).token_used


def test_a_destination_that_is_a_link_or_file_is_refused(ends: Ends) -> None:
    (ends.directory / "elsewhere").mkdir()
    ends.dest.symlink_to(ends.directory / "elsewhere")
    with pytest.raises(TargetNotEmpty):
        receive(ends.listen(), DirectoryIntake(ends.dest))


def test_a_destination_of_another_job_is_refused(ends: Ends) -> None:
    with durable.exclusive_lock(f"{ends.dest}.lock", "it"), pytest.raises(TargetBusy):
        receive(ends.listen(), DirectoryIntake(ends.dest))
