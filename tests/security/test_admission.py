# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unauthenticated peers on the network that reach the port on which a receiver waits for its sender."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    InvalidOption,
    PeerRefused,
    PeerTimeout,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import (
    credentials,
    tcp_receiver,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.admission import (
    AllowedNetworks,
    WaitingConnections,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.intake import (
    DirectoryIntake,
    Received,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tcp_sender import TcpSink, TcpTarget
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_sender import TlsSink
from ansible_collections.innodb.xtrabackup.tests.support.ports import free_port
from ansible_collections.innodb.xtrabackup.tests.support.streams import some_files, tree, write_backup
from ansible_collections.innodb.xtrabackup.tests.support.transfer import Ends, Receiver, make_ends, send

HERE = "127.0.0.1"
FILES = {"ibdata1": b"system" * 1000, "db/t.ibd": os.urandom(1 << 20)}


@pytest.fixture(name="ends")
def _ends(tmp_path: Path) -> Ends:
    return make_ends(tmp_path)


@contextlib.contextmanager
def silent_intruders(port: int, per_address: int, addresses: int) -> Iterator[list[socket.socket]]:
    """``per_address`` connections of each of so many addresses (127.0.0.1 is the first) that say nothing."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                socket.create_connection((HERE, port), timeout=10, source_address=(f"127.0.0.{1 + number}", 0))
            )
            for number in range(addresses)
            for _connection in range(per_address)
        ]


# --- TLS


@pytest.mark.parametrize(("per_address", "addresses"), [(60, 1), (20, 10)])
def test_slow_handshakes_do_not_keep_the_sender_out(ends: Ends, per_address: int, addresses: int) -> None:
    receiver = Receiver(ends)
    with silent_intruders(ends.port, per_address, addresses):
        sink = TlsSink(ends.target(connections=4, connect_timeout=5.0))
        sink.publish(send(sink, FILES))
        receiver.join()
    assert receiver.error is None


def test_intruders_who_come_again_and_again_do_not_keep_the_sender_out(ends: Ends) -> None:
    receiver, over = Receiver(ends), threading.Event()

    def flood() -> None:
        held: list[socket.socket] = []
        while not over.wait(0.002):
            with contextlib.suppress(OSError):
                held.append(socket.create_connection((HERE, ends.port), timeout=5, source_address=("127.0.0.9", 0)))
            if len(held) > 300:
                held.pop(0).close()
        for channel in held:
            channel.close()

    intruders = threading.Thread(target=flood)
    intruders.start()
    try:
        time.sleep(1.0)
        sink = TlsSink(ends.target(connect_timeout=20.0))
        sink.publish(send(sink, FILES))
        receiver.join()
    finally:
        over.set()
        intruders.join()
    assert receiver.error is None


def test_no_number_of_intruders_makes_the_receiver_give_up(ends: Ends) -> None:
    receiver = Receiver(ends)
    for _number in range(60):
        with socket.create_connection((HERE, ends.port), timeout=10) as intruder:
            intruder.sendall(b"GET / HTTP/1.0\r\n\r\n")
    time.sleep(1.0)
    sink = TlsSink(ends.target())
    sink.publish(send(sink, FILES))
    receiver.join()
    assert receiver.error is None


def test_who_comes_from_elsewhere_is_closed_out_at_once(ends: Ends) -> None:
    receiver = Receiver(ends, sources=AllowedNetworks.parse([HERE]))
    with socket.create_connection((HERE, ends.port), timeout=10, source_address=("127.0.0.2", 0)) as intruder:
        assert intruder.recv(1) == b""
    sink = TlsSink(ends.target())
    sink.publish(send(sink, FILES))
    receiver.join()
    assert receiver.error is None


def test_a_sender_from_elsewhere_is_not_let_in_although_it_has_the_credentials(ends: Ends) -> None:
    receiver = Receiver(ends, sources=AllowedNetworks.parse(["192.0.2.0/24"]), accept_timeout=3.0)
    with pytest.raises(PeerTimeout):
        TlsSink(ends.target(connect_timeout=1.0))
    receiver.join()
    assert isinstance(receiver.error, PeerTimeout)
    assert "does not come from where the sender may come from" in receiver.error.message
    assert not credentials.load(ends.receiver).token_used


# --- one token, one session


def test_two_receivers_with_one_token_file_let_one_sender_in(ends: Ends) -> None:
    other = Ends(ends.directory, free_port())
    receivers = [Receiver(ends, DirectoryIntake(ends.directory / "one")), _second(other)]
    sink = TlsSink(ends.target(connections=1))
    with pytest.raises(PeerRefused, match="used by an earlier transfer"):
        TlsSink(other.target(connections=1))
    sink.publish(send(sink, FILES))
    for receiver in receivers:
        receiver.join()
    assert receivers[0].error is None
    assert isinstance(receivers[1].error, PeerRefused)
    assert not (ends.directory / "two").exists()


def _second(ends: Ends) -> Receiver:
    return Receiver(ends, DirectoryIntake(ends.directory / "two"))


def test_of_many_receivers_that_use_a_token_at_once_one_does(ends: Ends) -> None:
    own, start, errors = credentials.load(ends.receiver), threading.Barrier(8), []

    def use() -> None:
        start.wait(20)
        try:
            credentials.consume_token(ends.receiver, own)
        except XtrabackupError as error:
            errors.append(error)

    threads = [threading.Thread(target=use) for _number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(error) for error in errors] == [PeerRefused] * 7
    assert credentials.load(ends.receiver).token_used


def test_a_receiver_does_not_use_up_the_token_of_the_transfer_after_it(ends: Ends) -> None:
    own = credentials.load(ends.receiver)
    credentials.save(ends.receiver, replace(own, token="another-token-for-tomorrow"))
    with pytest.raises(PeerRefused, match="replaced"):
        credentials.consume_token(ends.receiver, own)
    assert not credentials.load(ends.receiver).token_used


# --- plain TCP


class PlainReceiver:
    """A receiver of plain TCP in a thread."""

    def __init__(self, dest: Path, sources: AllowedNetworks) -> None:
        self.port = free_port()
        self.received: Received | None = None
        self.error: BaseException | None = None
        options = tcp_receiver.TcpListenOptions(self.port, HERE, 10.0, 20.0, sources)

        def run() -> None:
            try:
                self.received = tcp_receiver.receive(options, DirectoryIntake(dest))
            except BaseException as error:
                self.error = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()

    def intruder(self, address: str) -> socket.socket:
        """A connection from ``address``, as soon as the receiver listens."""
        deadline = time.monotonic() + 20
        while True:
            try:
                return socket.create_connection((HERE, self.port), timeout=10, source_address=(address, 0))
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.05)


def test_silent_connections_do_not_keep_a_plain_sender_out(tmp_path: Path) -> None:
    receiver = PlainReceiver(tmp_path / "dest", AllowedNetworks())
    receiver.intruder(HERE).close()
    with silent_intruders(receiver.port, 60, 1):
        time.sleep(1.0)
        write_backup(TcpSink(TcpTarget(HERE, receiver.port, 10.0, connect_timeout=5.0)), some_files())
        receiver.join()
    assert receiver.error is None


def test_a_plain_stream_from_elsewhere_is_not_taken(tmp_path: Path) -> None:
    receiver = PlainReceiver(tmp_path / "dest", AllowedNetworks.parse([HERE]))
    with receiver.intruder("127.0.0.2") as intruder, contextlib.suppress(ConnectionError):
        intruder.sendall(b"not a stream")
        assert intruder.recv(1) == b""
    write_backup(TcpSink(TcpTarget(HERE, receiver.port, 10.0, connect_timeout=5.0)), some_files())
    receiver.join()
    assert receiver.error is None
    assert tree(tmp_path / "dest").keys() >= some_files().keys()


# --- who makes room for whom


def test_an_address_that_has_its_share_makes_room_itself() -> None:
    waiting: WaitingConnections[str] = WaitingConnections(limit=8, share=3)
    assert waiting.admit("sender", "192.0.2.1") is None
    for number in range(100):
        evicted = waiting.admit(f"intruder {number}", "198.51.100.7")
        assert evicted != "sender"
        assert (evicted is None) is (number < 3)
    assert len(waiting) == 4
    assert waiting.leave("sender")
    assert not waiting.leave("sender")


def test_where_all_is_full_the_address_with_the_most_makes_room() -> None:
    waiting: WaitingConnections[str] = WaitingConnections(limit=6, share=4)
    for name, host in [("a", "2001:db8:0:1::1"), *((f"b{number}", f"2001:db8:0:2::{number}") for number in range(4))]:
        assert waiting.admit(name, host) is None
    assert waiting.admit("sender", "::ffff:192.0.2.1") is None
    evicted = waiting.admit("newcomer", "203.0.113.5")
    assert str(evicted).startswith("b")
    assert {"a", "sender", "newcomer"} <= set(waiting)


def test_a_newcomer_always_gets_in_however_many_addresses_are_waiting() -> None:
    waiting: WaitingConnections[int] = WaitingConnections(limit=5, share=2)
    for number in range(200):
        waiting.admit(number, f"10.0.{number}.1")
        assert number in waiting
        assert len(waiting) <= 5


@pytest.mark.parametrize(
    ("wanted", "host", "allowed"),
    [
        ([], "203.0.113.9", True),
        (["192.0.2.7"], "192.0.2.7", True),
        (["192.0.2.7"], "192.0.2.8", False),
        (["192.0.2.7"], "::ffff:192.0.2.7", True),
        (["::ffff:192.0.2.7"], "192.0.2.7", True),
        (["10.0.0.0/8", "2001:db8::/32"], "10.200.3.4", True),
        (["10.0.0.0/8", "2001:db8::/32"], "2001:db8:ffff::1", True),
        (["10.0.0.0/8", "2001:db8::/32"], "2001:db9::1", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["0.0.0.0/0"], "::1", False),
    ],
)
def test_an_address_is_of_the_networks_or_not(wanted: list[str], host: str, allowed: bool) -> None:
    assert AllowedNetworks.parse(wanted).has(host) is allowed


@pytest.mark.parametrize("text", ["db1.example", "10.0.0.5/8", "10.0.0", "", "10.0.0.1-10.0.0.9", "1.2.3.4/33"])
def test_what_is_no_network_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidOption, match=r"listen\.from") as caught:
        AllowedNetworks.parse([HERE, text])
    assert "192.0.2.0/24" in caught.value.remedy
