# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transfers whose credentials are in memory only: the receiver has a key, and the sender is who knows the token."""

from __future__ import annotations

import socket
import time
from dataclasses import replace

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    InvalidOption,
    PeerRefused,
    PeerTimeout,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import admission, credentials
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.session_credentials import (
    HeldCredentials,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_connection import TlsConnection
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_sender import TlsSink
from ansible_collections.innodb.xtrabackup.tests.support.transfer import TOKEN, Ends, Receiver, send

from .conftest import FILES, assert_arrived, assert_nothing_arrived


def receiving(ends: Ends, *, accept_timeout: float = 20.0) -> tuple[HeldCredentials, Receiver]:
    """A receiver without a file, and its credentials."""
    own = HeldCredentials.of_receiver(TOKEN)
    return own, Receiver(ends, credentials=own, accept_timeout=accept_timeout)


def sender_to(own: HeldCredentials, token: str = TOKEN) -> HeldCredentials:
    return HeldCredentials.of_sender(own.held.certificate, token)


@pytest.mark.parametrize("connections", [1, 3])
def test_a_sender_that_knows_the_token_gets_in(ends: Ends, connections: int) -> None:
    own, receiver = receiving(ends)
    sink = TlsSink(ends.target(credentials=sender_to(own), connections=connections))
    sink.publish(send(sink, FILES))
    receiver.join()
    assert receiver.error is None
    assert_arrived(ends)


def test_a_sender_with_another_token_is_turned_away_and_the_right_one_still_gets_in(ends: Ends) -> None:
    own, receiver = receiving(ends)
    with pytest.raises(PeerRefused, match="does not have the token"):
        TlsSink(ends.target(credentials=sender_to(own, "f" * 32)))
    sink = TlsSink(ends.target(credentials=sender_to(own)))
    sink.publish(send(sink, FILES))
    receiver.join()
    assert_arrived(ends)


def test_the_token_goes_only_to_the_receiver_with_the_certificate(ends: Ends) -> None:
    _own, receiver = receiving(ends, accept_timeout=1.0)
    other = HeldCredentials.of_receiver(TOKEN)
    with pytest.raises(PeerRefused, match=r"self.signed"):
        TlsSink(ends.target(credentials=sender_to(other)))
    receiver.join()
    assert isinstance(receiver.error, PeerTimeout)
    assert_nothing_arrived(ends)


def test_those_who_show_no_token_make_room_for_the_sender(ends: Ends) -> None:
    own, receiver = receiving(ends)
    anyone = replace(sender_to(own).held, token="f" * 32)
    context = credentials.tls_context(anyone)
    silent = []
    for _number in range(2 * admission.SHARE):
        raw = socket.create_connection(("127.0.0.1", ends.port))
        connection = TlsConnection(raw, context, "the receiver", time.monotonic() + 5)
        connection.handshake(credentials.certificate_der(own.held.certificate))
        silent.append(connection)
    sink = TlsSink(ends.target(credentials=sender_to(own)))
    sink.publish(send(sink, FILES))
    receiver.join()
    assert_arrived(ends)
    for connection in silent:
        connection.close()


def test_a_token_opens_one_session(ends: Ends) -> None:
    own, receiver = receiving(ends)
    sink = TlsSink(ends.target(credentials=sender_to(own)))
    sink.publish(send(sink, FILES))
    receiver.join()
    with pytest.raises(PeerRefused, match="used before"):
        own.consume_token(own.held)


def test_what_cannot_be_a_secret_or_a_certificate_is_refused() -> None:
    for call in (
        lambda: HeldCredentials.of_receiver("short"),
        lambda: HeldCredentials.of_sender("no certificate", TOKEN),
        lambda: HeldCredentials.of_sender(credentials.create("receiver").certificate, "short"),
        lambda: HeldCredentials.of_receiver(TOKEN).load("sender"),
    ):
        with pytest.raises(InvalidOption):
            call()
