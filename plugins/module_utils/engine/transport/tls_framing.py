# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of the TLS transport: what two ends of a transfer say to each other on each connection.

A frame is type (u8), length of the payload (u32, little-endian), payload. Each connection begins with the sender's
HELLO and the receiver's WELCOME; then the sender sends DATA and one END, and after the last END the receiver
sends ACK, which the sender answers with GOODBYE. HEARTBEAT and ERROR may come from either end at any time.

A connection that is lost is replaced by another one with the same index and a higher attempt. The receiver tells in
TAKEN how many bytes of DATA it has taken, and in WELCOME from where the sender has to go on.
"""

from __future__ import annotations

import enum
import json
import struct
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Union

from ..errors import FormatError, PeerFailed, PeerRefused, PeerTimeout, StreamCorrupt, XtrabackupError
from ..format import strict_json
from ..stream.digests import ALGORITHMS

PROTOCOL_VERSION = 3
MAX_CONNECTIONS = 16
MAX_DATA_LENGTH = 1 << 20  # bytes of one DATA frame
MAX_CONTROL_LENGTH = 64 << 10  # bytes of the payload of any other frame
_HEADER = struct.Struct("<BI")
_COUNT = struct.Struct("<Q")
HEADER_LENGTH = _HEADER.size
_LONGEST_TIMEOUT = 1e9  # seconds that a socket can be told
_MESSAGE_LIMIT = 4096  # characters of a peer's message that are repeated here

Buffer = Union[bytes, bytearray, memoryview]


class FrameType(enum.IntEnum):
    """Type of a frame."""

    HELLO = 1  # JSON of Hello
    WELCOME = 2  # JSON of Welcome
    DATA = 3  # bytes of the stream
    HEARTBEAT = 4  # empty: this end is alive
    END = 5  # JSON of End: all DATA of this connection is sent
    ERROR = 6  # JSON of XtrabackupError.as_dict(): this end has failed
    ACK = 7  # JSON of Ack: all is verified, durable and published
    TAKEN = 8  # u64, little-endian: bytes of DATA that the receiver has taken, from the beginning of the transfer
    GOODBYE = 9  # empty: the sender has read ACK


@dataclass(frozen=True)
class Hello:
    """First message of the sender on each connection. ``timeout``: seconds without a sign of life after which
    it gives the receiver up; ``digests``: those that each connection's END will hold; ``attempt``: higher for each
    connection that replaces another one."""

    session: str
    index: int
    count: int
    timeout: float
    token: str = field(repr=False)
    digests: tuple[str, ...] = ()
    attempt: int = 0
    version: int = PROTOCOL_VERSION


@dataclass(frozen=True)
class Welcome:
    """The receiver has accepted the connection. ``timeout``: as in Hello, the other way; ``taken``: bytes of DATA that
    it has already; ``ended``: whether it has END, too."""

    timeout: float
    taken: int = 0
    ended: bool = False
    version: int = PROTOCOL_VERSION


@dataclass(frozen=True)
class End:
    """All DATA of a connection is sent: so many bytes, which have these ``digests`` (name, hexadecimal)."""

    sent: int
    digests: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ack:
    """The backup is ``published`` (a path on the receiver); ``manifest_sha256`` says which one it is."""

    published: str
    manifest_sha256: str


def render_header(kind: FrameType, length: int) -> bytes:
    """The header of a frame with ``length`` bytes of payload."""
    return _HEADER.pack(kind, length)


def parse_header(data: Buffer, peer: str) -> tuple[FrameType, int]:
    """Type and length of payload; raises StreamCorrupt when no frame of this protocol begins so."""
    number, length = _HEADER.unpack(data)
    try:
        kind = FrameType(number)
    except ValueError:
        raise StreamCorrupt(f"{peer} sent a frame of the unknown type {number}", type=number) from None
    if length > (MAX_DATA_LENGTH if kind is FrameType.DATA else MAX_CONTROL_LENGTH):
        raise StreamCorrupt(f"{peer} sent a {kind.name} frame of {length} bytes", type=kind.name, length=length)
    return kind, length


def render_message(message: Hello | Welcome | End | Ack) -> bytes:
    """The payload of a HELLO, WELCOME, END or ACK frame."""
    return json.dumps(asdict(message)).encode()


def parse_hello(payload: bytes, peer: str) -> Hello:
    """The HELLO in ``payload``; raises StreamCorrupt, or PeerRefused for another version of the protocol."""
    fields = _fields(payload, "HELLO", peer)
    _require_version(fields, peer)
    types = {
        "session": str,
        "index": int,
        "count": int,
        "timeout": float,
        "token": str,
        "digests": list,
        "attempt": int,
    }
    hello = _message(Hello, fields, types, peer)
    if not all(isinstance(name, str) and name in ALGORITHMS for name in hello.digests):
        raise StreamCorrupt(f"{peer} announced digests that this end does not know")
    hello = replace(hello, digests=tuple(hello.digests))
    _require_timeout(hello.timeout, peer)
    if not (1 <= hello.count <= MAX_CONNECTIONS and 0 <= hello.index < hello.count and hello.session):
        raise StreamCorrupt(f"{peer} announced connection {hello.index} of {hello.count}")
    return hello  # type: ignore[no-any-return]


def parse_welcome(payload: bytes, peer: str) -> Welcome:
    """The WELCOME in ``payload``; raises as parse_hello."""
    fields = _fields(payload, "WELCOME", peer)
    _require_version(fields, peer)
    welcome: Welcome = _message(Welcome, fields, {"timeout": float, "taken": int, "ended": bool}, peer)
    _require_timeout(welcome.timeout, peer)
    return welcome


def render_taken(count: int) -> bytes:
    """The payload of TAKEN for ``count`` bytes."""
    return _COUNT.pack(count)


def parse_taken(payload: bytes, peer: str) -> int:
    """The count of bytes in the ``payload`` of TAKEN; raises StreamCorrupt."""
    if len(payload) != _COUNT.size:
        raise StreamCorrupt(f"{peer} sent a TAKEN frame that cannot be read")
    return int(_COUNT.unpack(payload)[0])


def parse_ack(payload: bytes, peer: str) -> Ack:
    """The ACK in ``payload``; raises StreamCorrupt."""
    fields = _fields(payload, "ACK", peer)
    return _message(Ack, fields, {"published": str, "manifest_sha256": str}, peer)  # type: ignore[no-any-return]


def parse_end(payload: bytes, peer: str) -> End:
    """The END in ``payload``; raises StreamCorrupt."""
    fields = _fields(payload, "END", peer)
    return _message(End, fields, {"sent": int, "digests": dict}, peer)  # type: ignore[no-any-return]


def render_error(error: BaseException) -> bytes:
    """The payload of ERROR for ``error``; its details are left out when they are too long for a frame."""
    if isinstance(error, XtrabackupError):
        document = error.as_dict()
    else:
        document = {"code": XtrabackupError.code, "message": f"{type(error).__name__}: {error}", "remedy": ""}
    document["message"] = document["message"][:_MESSAGE_LIMIT]
    payload = json.dumps(document).encode()
    if len(payload) > MAX_CONTROL_LENGTH:
        payload = json.dumps(dict(document, details={}, remedy=document["remedy"][:_MESSAGE_LIMIT])).encode()
    return payload


def parse_error(payload: bytes, peer: str) -> PeerFailed:
    """The failure that ``peer`` reported, as this end's own error. PeerRefused and PeerTimeout stay what they are:
    the ends disagree about credentials, or the network is at fault, and the remedy is the same here."""
    fields = _fields(payload, "ERROR", peer)
    code, message, remedy = (str(fields.get(name, ""))[:_MESSAGE_LIMIT] for name in ("code", "message", "remedy"))
    kind = {PeerRefused.code: PeerRefused, PeerTimeout.code: PeerTimeout}.get(code, PeerFailed)
    return kind(
        f"{peer} failed: {message}",
        remedy=remedy or None,
        peer=peer,
        peer_error={"code": code, "message": message, "remedy": remedy, "details": fields.get("details", {})},
    )


def _fields(payload: bytes, what: str, peer: str) -> dict[str, Any]:
    try:
        fields = strict_json.parse_object(payload, peer, max_bytes=MAX_CONTROL_LENGTH)
        strict_json.require_plain(fields, peer)
    except FormatError:
        raise StreamCorrupt(f"{peer} sent a {what} frame that cannot be read") from None
    return fields


def _require_version(fields: dict[str, Any], peer: str) -> None:
    if fields.get("version") != PROTOCOL_VERSION:
        raise PeerRefused(
            f"{peer} speaks version {fields.get('version')!r} of the transfer protocol, this end {PROTOCOL_VERSION}",
            remedy="Use the same version of the collection on both ends.",
            version=fields.get("version"),
        )


def _require_timeout(seconds: float, peer: str) -> None:
    if not 0 < seconds <= _LONGEST_TIMEOUT:
        raise StreamCorrupt(f"{peer} announced a timeout of {seconds} s")


def _message(kind: Any, fields: dict[str, Any], types: dict[str, type], peer: str) -> Any:
    """A ``kind`` of the ``fields`` named in ``types`` (integers are floats too); unknown fields are left out."""
    values = {name: fields.get(name) for name in types}
    for name, value in values.items():
        wanted = (int, float) if types[name] is float else (types[name],)
        if not isinstance(value, wanted) or isinstance(value, bool) is not (types[name] is bool):
            raise StreamCorrupt(f"{peer} sent a {kind.__name__.upper()} frame whose {name} cannot be read")
    return kind(**values)
