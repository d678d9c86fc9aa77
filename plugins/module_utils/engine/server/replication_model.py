# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Model of a replication channel, for every family: what is wanted, what there is, and the steps between.

``ReplicationDialect`` is what the families of servers do differently: their statements, and how their GTIDs compare.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..errors import InvalidOption, Option
from ..format.family import Family
from .connection import Connection

REPLICATING, STOPPED, ABSENT = "replicating", "stopped", "absent"

_HOST_LIMIT = 255  # HOSTNAME_LENGTH
_PATH_LIMIT = 511  # FN_REFLEN - 1
_PORT_LIMIT = 65535
_PRINTABLE = 32
_LOGIN_REFUSED = frozenset({1045, 1698})  # ER_ACCESS_DENIED_ERROR, ER_ACCESS_DENIED_NO_PASSWORD_ERROR


@dataclass(frozen=True)
class StartPosition:
    """Start of a new channel: after ``gtid`` (a GTID position or set; "" is the very beginning), or at ``file`` and
    ``position`` (bytes). ``origin`` says for a person where that is known from."""

    origin: str
    gtid: str | None = None
    file: str | None = None
    position: int | None = None


@dataclass(frozen=True)
class WantedChannel:
    """Wanted state of a channel. None: not given, so left as it is (or as the server's default has it)."""

    state: str
    channel: str = ""
    source_host: str | None = None
    source_port: int = 3306
    source_user: str | None = None
    source_password: str | None = field(default=None, repr=False)
    source_ssl: bool | None = None
    source_ssl_ca: str | None = None
    source_ssl_cert: str | None = None
    source_ssl_key: str | None = None
    source_ssl_verify: bool | None = None
    get_source_public_key: bool | None = None
    connect_retry: int | None = None
    start: StartPosition | None = None
    allow_repoint: bool = False

    @property
    def running(self) -> bool:
        """Returns whether the channel's threads are to run."""
        return self.state == REPLICATING


@dataclass(frozen=True)
class ActualChannel:
    """A channel as its server shows it. Positions are bytes in the source's binary log files.

    ``using_gtid``: No, or how the channel finds its place (MariaDB Slave_Pos, Current_Pos; MySQL Auto_Position).
    ``gtid_io_pos``: what it has read (MariaDB: a position; MySQL: the set that its relay log holds).
    """

    channel: str
    source_host: str
    source_port: int
    source_user: str
    source_ssl: bool
    source_ssl_ca: str
    source_ssl_cert: str
    source_ssl_key: str
    source_ssl_verify: bool
    connect_retry: int
    using_gtid: str
    io_running: str
    sql_running: str
    io_state: str
    io_errno: int
    io_error: str
    sql_errno: int
    sql_error: str
    read_file: str
    read_position: int
    executed_file: str
    executed_position: int
    gtid_io_pos: str
    seconds_behind: int | None
    get_source_public_key: bool | None = None  # None: the server knows no such thing
    source_server_id: int = 0  # 0: it never was connected
    source_uuid: str = ""  # MySQL only

    @property
    def by_gtid(self) -> bool:
        """Returns whether the channel finds its place by GTID."""
        return self.using_gtid.lower() != "no"

    @property
    def healthy(self) -> bool:
        """Returns whether both threads run and the IO thread is connected."""
        return self.io_running == "Yes" and self.sql_running == "Yes"

    @property
    def stopped(self) -> bool:
        """Returns whether neither thread runs."""
        return self.io_running == "No" and self.sql_running == "No"

    @property
    def started(self) -> bool:
        """Returns whether neither thread is stopped; the IO thread may still be connecting."""
        return self.io_running != "No" and self.sql_running != "No"

    @property
    def source(self) -> str:
        """The source, for a person."""
        return f"{self.source_host}:{self.source_port}"


@dataclass(frozen=True)
class ReplicationState:
    """All channels of a server, and where it stands.

    ``executed``: MariaDB's gtid_slave_pos (from sources), MySQL's gtid_executed (from wherever). ``logged``: what its
    own binary log holds: MariaDB's gtid_binlog_pos, MySQL's gtid_executed without gtid_purged. The rest is MySQL's:
    ``gtids`` is whether gtid_mode lets channels find their place by GTID, ``group_member`` whether the server belongs
    to group replication.
    """

    channels: tuple[ActualChannel, ...]
    executed: str
    logged: str
    family: Family = Family.MARIADB
    server_uuid: str = ""
    gtids: bool = True
    group_member: bool = False

    def channel(self, name: str) -> ActualChannel | None:
        """The channel ``name``; names are not case-sensitive."""
        return next((channel for channel in self.channels if channel.channel.lower() == name.lower()), None)


@dataclass(frozen=True)
class Step:
    """One statement: ``action`` is stop, set_position, change, start or reset. ``secrets`` are never shown.

    ``undo`` is the statement, with the same ``args``, that takes it back. ``using_gtid``: how a changed channel finds
    its place from then on, None when that stays.
    """

    action: str
    statement: str
    args: tuple[Any, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)
    undo: str = ""
    using_gtid: str | None = None

    def shown(self, connection: Connection) -> str:
        """The statement for a person, secrets masked."""
        text = self.statement % tuple(
            "'********'" if value in self.secrets else connection.escape(value) for value in self.args
        )
        return f"{text};"


class Word(str):
    """A keyword: goes into a statement as it is, not as a literal."""


class ReplicationDialect(ABC):
    """Statements and limits of replication in a family of servers."""

    family: Family
    #: in front of the options of CHANGE
    prefix: str
    #: what the server calls where it stands
    position_name: str
    #: what of a channel can be compared, and the option of CHANGE that sets it
    compared: ClassVar[Mapping[str, str]]
    #: what a new channel would otherwise inherit from one that was removed
    leftovers: ClassVar[Mapping[str, Any]]
    #: how a channel finds its place by GTID: the option, and what the server then shows
    by_gtid: ClassVar[Mapping[str, Any]]
    using_gtid: str
    #: what its GTIDs are called, and how they are written
    gtid_name: str
    gtid_form: str
    #: GTIDs are one set for a server, by whatever channel they came; it is empty while gtid_mode is OFF
    gtid_sets: bool

    @abstractmethod
    def read_state(self, connection: Connection) -> ReplicationState:
        """The channels of the server and where it stands."""

    @abstractmethod
    def gtid(self, text: str) -> str:
        """``text`` written as the server writes it; raises ValueError when it is no GTID of this family."""

    @abstractmethod
    def reached(self, position: str, target: str) -> bool:
        """Returns whether ``position`` holds everything up to ``target``."""

    @abstractmethod
    def position_steps(self, wanted: WantedChannel, actual: ReplicationState) -> list[Step]:
        """Make the server stand where ``wanted.start`` says when its data are proven to, or leave it is.

        Raises ReplicationError when no step is safe.
        """

    @abstractmethod
    def change(self, channel: str, options: Mapping[str, Any], using_gtid: str | None = None) -> Step:
        """CHANGE ... TO ``options`` for a channel that does not run, new or not."""

    @abstractmethod
    def start(self, channel: str) -> Step:
        """Start both threads."""

    @abstractmethod
    def stop(self, channel: str) -> Step:
        """Stop both threads."""

    @abstractmethod
    def reset(self, channel: str) -> Step:
        """Remove the channel."""

    #: the longest password in bytes, user in characters and channel name in bytes: what is longer, the server refuses,
    #: or cuts in silence (MariaDB 10.11, MySQL 9.7)
    password_limit: int
    user_limit: int
    channel_limit: int
    retry_limit: int

    @abstractmethod
    def require_known(self, wanted: WantedChannel) -> None:
        """Raises InvalidOption for what this family does not know."""

    def check(self, wanted: WantedChannel) -> None:
        """Raises InvalidOption for whatever CHANGE would refuse or not keep as it is given."""
        self.require_known(wanted)
        _limit("source_password", _bytes(wanted.source_password), self.password_limit, "bytes", self.family)
        _limit("source_user", len(wanted.source_user or ""), self.user_limit, "characters", self.family)
        _limit("source_host", len(wanted.source_host or ""), _HOST_LIMIT, "characters", self.family)
        _limit("channel", _bytes(wanted.channel), self.channel_limit, "bytes", self.family)
        for name in ("source_ssl_ca", "source_ssl_cert", "source_ssl_key"):
            _limit(name, _bytes(getattr(wanted, name)), _PATH_LIMIT, "bytes", self.family)
        for name in ("source_host", "source_user"):
            value = getattr(wanted, name)
            blank = name == "source_host" and " " in (value or "")
            if value is not None and (not value or blank or any(ord(letter) < _PRINTABLE for letter in value)):
                raise InvalidOption(f"{name}: {value!r} is no name", option=name)
        _within("source_port", wanted.source_port, _PORT_LIMIT)
        _within("connect_retry", wanted.connect_retry, self.retry_limit)

    # --- options of CHANGE ---------------------------------------------------------------------------

    def source_options(self, wanted: WantedChannel) -> dict[str, Any]:
        """Every option of CHANGE that ``wanted`` speaks of, except the position."""
        options: dict[str, Any] = {
            f"{self.prefix}HOST": wanted.source_host,
            f"{self.prefix}PORT": wanted.source_port,
            f"{self.prefix}PASSWORD": wanted.source_password,
            **{option: getattr(wanted, name) for name, option in self.compared.items()},
        }
        return {
            option: int(value) if isinstance(value, bool) else value
            for option, value in options.items()
            if value is not None
        }

    def differences(self, wanted: WantedChannel, present: ActualChannel) -> dict[str, Any]:
        """The options of CHANGE whose wanted value is not the present one."""
        different: dict[str, Any] = {}
        for name, option in self.compared.items():
            want = getattr(wanted, name)
            if want is not None and want != getattr(present, name):
                different[option] = int(want) if isinstance(want, bool) else want
        # looked at only where it matters: a stopped channel remembers its last error for ever
        refused = wanted.running and present.io_running != "Yes" and present.io_errno in _LOGIN_REFUSED
        if wanted.source_password is not None and (refused or f"{self.prefix}USER" in different):
            different[f"{self.prefix}PASSWORD"] = wanted.source_password
        return different

    def file_options(self, start: StartPosition) -> dict[str, Any]:
        """Begin at a place in the source's binary log, and not by GTID."""
        place = {f"{self.prefix}LOG_FILE": start.file, f"{self.prefix}LOG_POS": start.position}
        return {**place, **{name: Word("no") if isinstance(on, Word) else 0 for name, on in self.by_gtid.items()}}

    def _change(
        self,
        statement: str,
        options: Mapping[str, Any],
        before: tuple[Any, ...],
        after: tuple[Any, ...],
        using: str | None,
    ) -> Step:
        """``statement`` with its options in the place of ``{}``, and the values ``before`` and ``after`` them."""
        assignments = ", ".join(
            f"{name} = {value}" if isinstance(value, Word) else f"{name} = %s" for name, value in options.items()
        )
        args = tuple(value for value in options.values() if not isinstance(value, Word))
        password = options.get(f"{self.prefix}PASSWORD")
        return Step(
            "change",
            statement.format(assignments),
            (*before, *args, *after),
            (password,) if password else (),
            using_gtid=using,
        )


def _bytes(text: str | None) -> int:
    return len((text or "").encode("utf-8", "surrogateescape"))


def _limit(option: str, length: int, limit: int, unit: str, family: Family) -> None:
    """Raises InvalidOption, without the value, which may be a secret."""
    if length > limit:
        remedy = "Give the replication account a shorter password." if option == "source_password" else None
        raise InvalidOption(
            f"{Option(option)} has {length} {unit}, and replicas of {family.display_name} can use no more than {limit}",
            remedy=remedy or f"Give a shorter {Option(option)}.",
            option=option,
        )


def _within(option: str, value: int | None, limit: int) -> None:
    if value is not None and not 1 <= value <= limit:
        raise InvalidOption(f"{Option(option)}: {value} is not between 1 and {limit}", option=option)
