# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames: what is written is read again, and nothing else is."""

from __future__ import annotations

import json

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    DiskFull,
    PeerFailed,
    PeerRefused,
    PeerTimeout,
    StreamCorrupt,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import tls_framing as framing
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_framing import FrameType

HELLO = {
    "version": 3,
    "session": "s",
    "index": 0,
    "count": 2,
    "timeout": 60,
    "token": "t",
    "digests": ["sha256"],
    "attempt": 0,
}


def test_a_header_is_type_and_little_endian_length() -> None:
    data = framing.render_header(FrameType.DATA, 0x01020)
    assert data == b"\x03\x20\x10\x00\x00"
    assert framing.parse_header(data, "peer") == (FrameType.DATA, 0x1020)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00\x00\x00\x00",
        b"\x0a\x00\x00\x00\x00",
        b"GET /",
        b"\x03\x01\x00\x10\x00",  # DATA of 1 MiB + 1
        b"\x06\x01\x00\x01\x00",  # ERROR of 64 KiB + 1
    ],
)
def test_headers_of_unknown_types_or_too_long_frames_are_refused(data: bytes) -> None:
    with pytest.raises(StreamCorrupt, match="peer"):
        framing.parse_header(data, "peer")


def test_messages_come_back_as_they_were() -> None:
    hello = framing.Hello("session", 3, 4, 12.5, "token", ("sha256", "xxh3"))
    assert framing.parse_hello(framing.render_message(hello), "peer") == hello
    welcome = framing.Welcome(7.0, 1 << 40, True)
    assert framing.parse_welcome(framing.render_message(welcome), "peer") == welcome
    ack = framing.Ack("/srv/x", "00ff")
    assert framing.parse_ack(framing.render_message(ack), "peer") == ack
    end = framing.End(1 << 40, {"xxh3": "00"})
    assert framing.parse_end(framing.render_message(end), "peer") == end
    assert framing.parse_taken(framing.render_taken(1 << 40), "peer") == 1 << 40
    with pytest.raises(StreamCorrupt, match="peer"):
        framing.parse_taken(b"7", "peer")


def test_the_token_does_not_show_in_the_representation_of_a_hello() -> None:
    assert "secret" not in repr(framing.Hello("session", 0, 1, 1.0, "secret"))


@pytest.mark.parametrize(
    "change",
    [
        {"index": 2},
        {"index": -1},
        {"index": True},
        {"count": 0},
        {"count": 17},
        {"count": "2"},
        {"session": ""},
        {"session": None},
        {"token": 7},
        {"timeout": "long"},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"digests": "sha256"},
        {"digests": ["sha3"]},
        {"digests": [{}]},
        {"attempt": "0"},
    ],
)
def test_a_hello_with_a_field_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    framing.parse_hello(json.dumps(HELLO).encode(), "peer")
    with pytest.raises(StreamCorrupt, match="peer"):
        framing.parse_hello(json.dumps({**HELLO, **change}).encode(), "peer")


@pytest.mark.parametrize("payload", [b"", b"[]", b"\xff", b"nothing", b"null"])
def test_what_is_no_object_is_refused(payload: bytes) -> None:
    for parse in (framing.parse_hello, framing.parse_welcome, framing.parse_ack, framing.parse_error):
        with pytest.raises(StreamCorrupt, match="peer"):
            parse(payload, "peer")


def test_another_version_of_the_protocol_is_named() -> None:
    with pytest.raises(PeerRefused, match="version 4"):
        framing.parse_hello(json.dumps({**HELLO, "version": 4}).encode(), "peer")


def test_an_error_travels_with_message_remedy_and_details() -> None:
    error = DiskFull("writing /srv/x: No space left on device", path="/srv/x", free=0)
    received = framing.parse_error(framing.render_error(error), "the receiver h:1")
    assert received.__class__ is PeerFailed
    assert received.message == "the receiver h:1 failed: writing /srv/x: No space left on device"
    assert received.remedy == DiskFull.default_remedy
    assert received.details["peer_error"]["details"] == {"path": "/srv/x", "free": 0}
    assert received.details["peer_error"]["code"] == "disk_full"


@pytest.mark.parametrize("kind", [PeerRefused, PeerTimeout])
def test_refusals_and_time_outs_keep_their_kind(kind: type[PeerFailed]) -> None:
    assert framing.parse_error(framing.render_error(kind("so")), "peer").__class__ is kind


def test_an_error_always_fits_into_a_frame() -> None:
    long = DiskFull("m" * 100_000, remedy="r" * 100_000, files=["x" * 200] * 1000)
    payload = framing.render_error(long)
    assert len(payload) <= framing.MAX_CONTROL_LENGTH
    assert framing.parse_error(payload, "peer").message.startswith("peer failed: mmm")


def test_an_exception_that_is_not_ours_travels_as_text() -> None:
    assert "KeyError: 'x'" in framing.parse_error(framing.render_error(KeyError("x")), "peer").message
