# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values on which the decision about a replica rests: the primary, the host, the journal of an earlier run, and the
request; and the plan that it results in.

All of it is frozen, so that a decision can be repeated. ``facts.py`` makes these values of what modules return.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..format.family import Family
from ..printable import printable

#: phases of a run that the journal notes
TRANSFER, PLACE = "transfer", "place"
#: phases of the job in which no sender has come yet
WAITING = ("starting", "listening")
#: phases of the job in which the backup has not arrived yet
ARRIVING = (*WAITING, "receiving", "publishing")
#: settings of a channel, by the names of the options of xtrabackup_replica
CHANNEL_SETTINGS = (
    "source_user",
    "source_ssl",
    "source_ssl_ca",
    "source_ssl_cert",
    "source_ssl_key",
    "source_ssl_verify",
    "get_source_public_key",
)


def new_channel(family: Family, ssl_ca: str) -> dict[str, bool]:
    """Settings of a new channel that are not given; ``ssl_ca`` is "" where none is given."""
    mysql = family is Family.MYSQL
    return {"source_ssl": mysql, "source_ssl_verify": not mysql or bool(ssl_ca), "get_source_public_key": False}


@dataclass(frozen=True)
class Problem:
    """Why a host cannot become or stay a replica: a stable ``code``, a sentence, and what to do about it."""

    code: str
    message: str
    remedy: str

    def as_dict(self) -> dict[str, str]:
        """The problem in JSON types, as ``error`` of a module's result."""
        return {"code": self.code, "message": printable(self.message), "remedy": printable(self.remedy)}


@dataclass(frozen=True)
class PrimaryServer:
    """The server to replicate from. ``gtid`` is its position (MariaDB) or set (MySQL); ``replicates`` is whether it has
    channels of its own. ``data_bytes`` of its data files, None where nobody can tell; ``layout`` as in Places."""

    family: Family
    version: tuple[int, ...]
    server_id: int
    server_uuid: str = ""
    supported: bool = True
    refusal: str = ""
    privileges_missing: tuple[str, ...] = ()
    privileges_missing_on_read_only: tuple[str, ...] = ()
    log_bin: bool = True
    log_replica_updates: bool = True
    replicates: bool = False
    gtid: str = ""
    gtid_mode: str = ""
    data_bytes: int | None = None
    layout: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Primary:
    """The primary, by its ``name`` in the inventory. ``server`` is None when it could not be asked; see ``error``."""

    name: str
    server: PrimaryServer | None
    error: Problem | None = None


@dataclass(frozen=True)
class Channel:
    """A replication channel of the host. ``executed`` is the GTID position of its server; ``source_server_id`` is 0 and
    ``source_uuid`` empty when the server does not know them. ``settings`` has the keys CHANNEL_SETTINGS."""

    name: str
    source_host: str
    source_port: int
    state: str
    last_error: str = ""
    source_server_id: int = 0
    source_uuid: str = ""
    executed: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The source for a person: ``db1:3306``."""
        return f"{self.source_host}:{self.source_port}"

    @property
    def broken(self) -> bool:
        """Returns whether an error has stopped it. A channel that runs may show the error of a moment ago."""
        return bool(self.last_error) and self.state != "replicating"


@dataclass(frozen=True)
class Place:
    """Content at the path of the data directory. ``kind`` is datadir, empty, absent, backup, archive or other;
    ``complete`` is false while a restore into it is unfinished; ``proven`` is whether this host remembers a restore."""

    kind: str
    complete: bool = True
    restored: bool = False
    proven: bool = False
    backup_id: str = ""


@dataclass(frozen=True)
class UserData:
    """Data that were found beside the server's own data. ``state``: none, found, or unknown (nothing found, not all
    seen)."""

    state: str = "unknown"
    running: bool = False
    databases: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Service:
    """The service that is to stop and start the server. ``known`` and ``datadir`` are None where nobody can be asked;
    ``datadir`` is the data directory of the server that the service runs, "" when it runs none."""

    name: str
    known: bool | None = None
    datadir: str | None = None


@dataclass(frozen=True)
class Received:
    """The place where a backup arrives. ``overlap`` is whether it and the data directory are one inside the other;
    ``stored_bytes``: what is there of an earlier run, which is removed before another one arrives."""

    path: str
    kind: str = "absent"
    complete: bool = False
    backup_id: str = ""
    overlap: bool = False
    stored_bytes: int = 0


@dataclass(frozen=True)
class Room:
    """The file system of a place: ``free`` bytes, and the number ``device``, which tells it from others."""

    path: str
    device: int
    free: int


@dataclass(frozen=True)
class Places:
    """Places that a copy goes to. ``error``: why nothing can be put there. ``missing``: directories of logs that the
    server needs and that are not there. ``in_the_way``: names in a directory that is no data directory. ``outside``:
    files of a server's data that are elsewhere. ``incoming`` and ``staging``: where the copy arrives, and where it is
    put. ``layout``: what has to be as on the primary, from the option files: ``innodb_page_size``,
    ``lower_case_table_names`` and ``data_file_sizes``, as far as they are known."""

    error: Problem | None = None
    missing: tuple[str, ...] = ()
    in_the_way: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    incoming: Room | None = None
    staging: Room | None = None
    layout: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceAnswer:
    """Answer to the login of the channel, tried from the host. ``state``: accepted, refused, or unknown (not tried, or
    this program cannot know)."""

    state: str = "unknown"
    server_id: int = 0
    server_uuid: str = ""
    message: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Journal:
    """The note of a run that was interrupted. ``time`` is in seconds since the epoch; ``replaces`` and ``consent`` are
    what that run was allowed to do."""

    exists: bool = False
    source: str = ""
    phase: str = ""
    backup_id: str = ""
    time: int = 0
    replaces: bool = False
    consent: bool = False


@dataclass(frozen=True)
class Host:
    """The host that is to be a replica. ``answered`` is whether its server accepted a login; ``channels`` is None when
    no account could see them. ``missing_files`` are files for the channel that were named and are not there. ``job`` is
    the phase of the job that makes a replica of it, "" when none goes on; ``job_id``, ``job_pid`` and ``job_code``
    are its name, its process, and the digest of its code. ``source`` is the answer of the primary's address to the
    host."""

    name: str
    datadir: str
    installed: bool
    family: Family
    version: tuple[int, ...]
    place: Place
    server_id: int = 1
    gtid_mode: str = "OFF"
    read_only: bool = False
    running: bool = False
    answered: bool = False
    channels: tuple[Channel, ...] | None = None
    data: UserData = UserData()
    service: Service | None = None
    received: Received = Received("")
    missing_files: tuple[str, ...] = ()
    job: str = ""
    job_id: str = ""
    job_pid: int = 0
    job_code: str = ""
    source: SourceAnswer = SourceAnswer()
    places: Places = Places()


@dataclass(frozen=True)
class Request:
    """Request that the variables of the role make.

    ``rebuild`` is the consent to replace data, ``rebuild_healthy`` that to replace those of a replica without an error.
    ``settings`` are those of the channel that were given (CHANNEL_SETTINGS); what is not given stays as it is.
    ``code`` is the digest of the code of this run, "" where it does not count.
    ``peers`` are the other replicas of the same primary, by name, with their server_id. ``now`` is in
    seconds since the epoch, ``resume_within`` in seconds.
    """

    source_host: str
    source_port: int = 3306
    rebuild: bool = False
    rebuild_healthy: bool = False
    backup_user: str = ""
    backup_password: str = field(default="", repr=False)
    replication_user: str = ""
    replication_password: str = field(default="", repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)
    peers: tuple[tuple[str, int], ...] = ()
    now: int = 0
    resume_within: int = 43200
    code: str = ""

    @property
    def source(self) -> str:
        """The primary's address as the replica knows it: ``db1:3306``."""
        return f"{self.source_host}:{self.source_port}"


class Step(enum.Enum):
    """Decision about a host."""

    KEEP = "keep"
    FOLLOW = "follow"
    CONTINUE = "continue"
    PROVISION = "provision"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Plan:
    """One decision, by the ``rule`` that made it. ``what`` and ``why`` are parts of a sentence.

    ``replaces``: what is in the data directory may be replaced, with ``consent``, or because it is ``fresh``: then it
    is looked at again before that. ``arrived``: the copy of an earlier run is consistent already; ``received``: it is
    whole. ``tidies``: a replica is kept, and what an earlier run has left beside it is removed: its journal would be
    taken for consent later. ``channel``: the options of xtrabackup_replica. ``before`` and ``after``: for diff mode.
    """

    step: Step
    rule: str
    why: str
    what: str = ""
    remedy: str = ""
    replaces: bool = False
    consent: bool = False
    fresh: bool = False
    arrived: bool = False
    received: bool = False
    tidies: bool = False
    problems: tuple[Problem, ...] = ()
    channel: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)

    @property
    def changes(self) -> bool:
        """Returns whether the data directory or the server's role change."""
        return self.step in (Step.PROVISION, Step.CONTINUE, Step.FOLLOW)

    def text(self, *, check_mode: bool) -> str:
        """The decision in one sentence, for a person; of a refusal, all its problems."""
        if self.step is Step.REFUSE:
            reported = [f"{problem.message}. {problem.remedy}" for problem in self.problems]
            return printable(f"Nothing was touched: {' Also: '.join(reported)}")
        return printable(f"{'Would' if check_mode else 'Will'} {self.what}: {self.why}")

    def as_dict(self) -> dict[str, Any]:
        """The plan in JSON types."""
        return {
            "step": self.step.value,
            "rule": self.rule,
            "what": printable(self.what),
            "why": printable(self.why),
            "remedy": printable(self.remedy),
            "replaces": self.replaces,
            "consent": self.consent,
            "fresh": self.fresh,
            "arrived": self.arrived,
            "received": self.received,
            "tidies": self.tidies,
            "problems": [problem.as_dict() for problem in self.problems],
            "channel": dict(self.channel),
        }
