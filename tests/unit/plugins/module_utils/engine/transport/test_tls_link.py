# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS transfers whose connections are lost on the way: nothing of the stream is lost or comes twice."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    DiskFull,
    PeerFailed,
    PeerRefused,
    PeerTimeout,
    StreamCorrupt,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import extract
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import tls_framing as framing
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import tls_receiving_link
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_framing import FrameType
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_sender import TlsSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_sending_link import _Unacknowledged
from ansible_collections.innodb.xtrabackup.tests.support.link_cutter import LinkCutter
from ansible_collections.innodb.xtrabackup.tests.support.transfer import Ends, Receiver, send

from .conftest import FILES, FakeReceiver, assert_arrived, assert_nothing_arrived, enter, greet, limit


@pytest.fixture(name="cutter")
def _cutter(ends: Ends) -> Iterator[LinkCutter]:
    with contextlib.closing(LinkCutter(ends.port)) as cutter:
        yield cutter


def target(ends: Ends, cutter: LinkCutter, **options: Any) -> Any:
    return replace(ends.target(**options), port=cutter.port)


# --- links that are cut, and go on ---------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("connections", [1, 3])
def test_a_backup_arrives_whole_although_its_links_are_cut_fifty_times(
    ends: Ends, connections: int, reset: bool
) -> None:
    pattern = random.Random(7).randbytes(20 << 20)
    files = {f"db/t{number}.ibd": pattern[number * 4099 :] for number in range(6)}
    receiver = Receiver(ends, digests=["sha256"])
    with contextlib.closing(LinkCutter(ends.port, every=2_111_111, times=50, reset=reset)) as cutter:
        sink = TlsSink(target(ends, cutter, connections=connections), digests=["sha256"])
        answer = sink.publish(send(sink, files))
        receiver.join(60)
    assert receiver.error is None
    assert cutter.cuts >= 50
    assert receiver.received is not None
    assert answer["digests"] == receiver.received.digests
    assert_arrived(ends, files)


def test_a_connection_that_falls_silent_is_replaced_long_before_the_time_out(ends: Ends, cutter: LinkCutter) -> None:
    receiver = Receiver(ends)
    sink = TlsSink(target(ends, cutter, timeout=3.0))
    complete = send(sink, FILES)
    cutter.freeze()
    with limit(3):
        sink.publish(complete)
        receiver.join(3)
    assert receiver.error is None
    assert_arrived(ends)


def test_a_receiver_that_cannot_be_reached_for_a_while_is_reached_again(ends: Ends, cutter: LinkCutter) -> None:
    receiver = Receiver(ends)
    sink = TlsSink(target(ends, cutter))
    complete = send(sink, FILES)
    cutter.refuse()
    cutter.cut()
    threading.Timer(2.0, cutter.listen).start()
    sink.publish(complete)
    receiver.join()
    assert receiver.error is None
    assert_arrived(ends)


def test_a_link_that_is_cut_while_the_receiver_publishes_is_replaced_and_the_sender_knows(
    ends: Ends, cutter: LinkCutter, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = extract.Extractor.finish

    def slow_finish(self: extract.Extractor) -> manifest.Manifest | None:
        cutter.cut()
        time.sleep(0.5)
        return finish(self)

    monkeypatch.setattr(extract.Extractor, "finish", slow_finish)
    receiver = Receiver(ends)
    sink = TlsSink(target(ends, cutter))
    assert sink.publish(send(sink, FILES))["path"] == str(ends.dest)
    receiver.join()
    assert receiver.error is None
    assert_arrived(ends)


def test_a_confirmation_that_is_lost_comes_again(
    ends: Ends, cutter: LinkCutter, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm = tls_receiving_link.ReceivingLink.confirm

    def lost(self: tls_receiving_link.ReceivingLink, ack: framing.Ack) -> None:
        cutter.freeze()
        confirm(self, ack)
        cutter.cut()

    monkeypatch.setattr(tls_receiving_link.ReceivingLink, "confirm", lost)
    receiver = Receiver(ends)
    sink = TlsSink(target(ends, cutter, connections=1))
    assert sink.publish(send(sink, FILES))["path"] == str(ends.dest)
    receiver.join()
    assert receiver.error is None
    assert_arrived(ends)


def test_a_backup_stays_published_when_the_sender_cannot_be_told(
    ends: Ends, cutter: LinkCutter, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm = tls_receiving_link.ReceivingLink.confirm

    def lost(self: tls_receiving_link.ReceivingLink, ack: framing.Ack) -> None:
        cutter.freeze()
        cutter.refuse()
        confirm(self, ack)

    monkeypatch.setattr(tls_receiving_link.ReceivingLink, "confirm", lost)
    receiver = Receiver(ends, timeout=1.0)
    sink = TlsSink(target(ends, cutter, connections=1, timeout=1.0))
    complete = send(sink, FILES)
    with pytest.raises(PeerTimeout):
        sink.publish(complete)
    receiver.join(5)
    assert receiver.error is None
    assert_arrived(ends)


# --- links that do not come back -----------------------------------------------------------------


def test_after_a_whole_time_out_both_ends_give_up_by_name(ends: Ends, cutter: LinkCutter) -> None:
    receiver = Receiver(ends, timeout=1.0)
    sink = TlsSink(target(ends, cutter, timeout=1.0))
    send(sink, FILES)
    cutter.refuse()
    cutter.cut()
    with limit(4), pytest.raises(PeerTimeout, match="did not come back within 1 s"):
        sink._session.wait(lambda: False)
    sink.abort(StreamCorrupt("x"))
    receiver.join(4)
    assert isinstance(receiver.error, PeerTimeout)
    assert "did not come back within 1 s" in receiver.error.message
    assert_nothing_arrived(ends)


def test_a_failure_is_told_although_the_link_was_just_cut(ends: Ends, cutter: LinkCutter) -> None:
    receiver = Receiver(ends)
    sink = TlsSink(target(ends, cutter, connections=2))
    complete = send(sink, FILES)
    wrong = replace(complete, files=tuple(replace(entry, digest="0" * 32) for entry in complete.files))
    cutter.cut()
    with limit(4), pytest.raises(PeerFailed, match="other content"):
        sink.publish(wrong)
    sink.abort(DiskFull("x"))
    receiver.join(3)
    assert isinstance(receiver.error, StreamCorrupt)
    assert_nothing_arrived(ends)


def test_an_older_connection_does_not_replace_a_newer_one(ends: Ends) -> None:
    receiver = Receiver(ends, timeout=2.0)
    first = enter(ends)
    second = greet(ends, attempt=3)
    _kind, payload = second.receive_control(FrameType.WELCOME)
    assert framing.parse_welcome(payload, "it") == framing.Welcome(2.0)
    for attempt in (0, 2, 3):
        with pytest.raises(PeerRefused, match="unexpectedly"):
            greet(ends, attempt=attempt).receive_control(FrameType.WELCOME)
    for connection in (first, second):
        connection.close()
    receiver.join(5)
    assert_nothing_arrived(ends)


def test_another_session_does_not_replace_a_connection(ends: Ends) -> None:
    receiver = Receiver(ends, timeout=1.0)
    first = enter(ends)
    with pytest.raises(PeerRefused, match="has begun already"):
        greet(ends, session="another", attempt=1).receive_control(FrameType.WELCOME)
    with pytest.raises(PeerRefused, match="does not have the token"):
        greet(ends, token="f" * 32, attempt=1).receive_control(FrameType.WELCOME)
    first.close()
    receiver.join(5)


def test_a_receiver_that_has_taken_what_was_not_sent_is_not_believed(ends: Ends) -> None:
    fake = FakeReceiver(ends, 1)
    sink = TlsSink(ends.target(connections=1))
    fake._thread.join()
    fake.connections[0].send(FrameType.TAKEN, framing.render_taken(1 << 30))
    with pytest.raises(StreamCorrupt, match="has taken 1073741824 bytes"):
        sink._session.wait(lambda: False)
    sink.abort(StreamCorrupt("x"))
    fake.close()


# --- what is kept --------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 40), st.lists(st.tuples(st.binary(max_size=30), st.integers(0, 40)), max_size=30))
def test_what_was_not_taken_is_there_byte_by_byte(capacity: int, steps: list[tuple[bytes, int]]) -> None:
    kept, all_data = _Unacknowledged(capacity), b""
    for more, taken in steps:
        data = more[: kept.room]
        kept.append(memoryview(data))
        all_data += data
        kept.forget(min(kept.begin + taken, kept.end))
        assert kept.room == capacity - (len(all_data) - kept.begin)
        read, position = b"", kept.begin
        while piece := bytes(kept.piece(position)):
            read += piece
            position += len(piece)
        assert read == all_data[kept.begin :]
