# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of modules, which come from hosts, as the values that a decision is made from.

Everything that is used is checked here, once: raises FormatError that names the host and the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import FormatError
from ..format.family import Family, Flavor
from .model import (
    CHANNEL_SETTINGS,
    Channel,
    Host,
    Journal,
    Place,
    Places,
    Plan,
    Primary,
    PrimaryServer,
    Problem,
    Received,
    Room,
    Service,
    SourceAnswer,
    Step,
    UserData,
)

_OFF = ("OFF", "0", "FALSE", "NO")
_POSITIONS = ("gtid_slave_pos", "gtid_executed")


class Facts:
    """A part of what ``where`` has told, read by type. A key that is missing or null has the default."""

    def __init__(self, value: object, where: str) -> None:
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise FormatError(f"{where}: {type(value).__name__} instead of facts", where=where)
        self._values: Mapping[str, Any] = value
        self._where = where

    def has(self, key: str) -> bool:
        """Returns whether there is a value under ``key`` that is not null."""
        return self._values.get(key) is not None

    def text(self, key: str, default: str = "") -> str:
        """The text under ``key``."""
        return str(self._get(key, default, (str,)))

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false under ``key``."""
        return bool(self._get(key, default, (bool,)))

    def number(self, key: str, default: int = 0) -> int:
        """The whole number under ``key``; option files give it as text."""
        value = self._get(key, default, (int, str))
        try:
            return int(value)
        except ValueError:
            raise self._wrong(key, value, "a whole number") from None

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of texts under ``key``."""
        return tuple(str(item) for item in self._get(key, [], (list, tuple)))

    def numbers(self, key: str) -> tuple[int, ...]:
        """The list of whole numbers under ``key``."""
        values = self._get(key, [], (list, tuple))
        if not all(isinstance(value, int) for value in values):
            raise self._wrong(key, values, "a list of whole numbers")
        return tuple(int(value) for value in values)

    def part(self, key: str) -> Facts:
        """The facts under ``key``."""
        return Facts(self._values.get(key), f"{self._where}: {key}")

    def parts(self, key: str) -> tuple[Facts, ...]:
        """The list of facts under ``key``."""
        return tuple(Facts(item, f"{self._where}: {key}") for item in self._get(key, [], (list, tuple)))

    def raw(self, key: str) -> Any:
        """The value under ``key`` as it is, None when there is none."""
        return self._values.get(key)

    def _get(self, key: str, default: Any, types: tuple[type, ...]) -> Any:
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise self._wrong(key, value, " or ".join(kind.__name__ for kind in types))
        return value

    def _wrong(self, key: str, value: object, expected: str) -> FormatError:
        return FormatError(
            f"{self._where}: {key} is {str(value)[:40]!r}, not {expected}",
            remedy="The module that gathered these facts is of another version: use one version of the collection.",
            where=self._where,
        )


def parse_primary(name: str, result: object) -> Primary:
    """The primary, from what xtrabackup_info has said of its server."""
    facts = Facts(result, name)
    if not facts.has("server"):
        error = facts.part("server_error")
        return Primary(
            name,
            None,
            Problem(
                error.text("code", "connection_failed"),
                error.text("message", "its server cannot be asked"),
                error.text("remedy", "See the troubleshooting guide."),
            ),
        )
    server = facts.part("server")
    missing = (*server.texts("privileges_missing"), *server.texts("privileges_missing_for_replication"))
    return Primary(
        name,
        PrimaryServer(
            family=_family(server.text("flavor"), name),
            version=server.numbers("version_tuple"),
            server_id=server.number("server_id"),
            server_uuid=server.text("server_uuid"),
            supported=server.flag("supported"),
            refusal=server.text("refusal"),
            privileges_missing=tuple(dict.fromkeys(missing)),
            privileges_missing_on_read_only=server.texts("privileges_missing_on_read_only"),
            log_bin=server.flag("log_bin"),
            log_replica_updates=server.flag("log_replica_updates"),
            replicates=bool(facts.parts("replication")),
            gtid=server.text("gtid"),
            gtid_mode=server.text("gtid_mode"),
            data_bytes=server.number("data_bytes") if server.has("data_bytes") else None,
            layout=_layout(server),
        ),
    )


def parse_host(name: str, result: object) -> Host:
    """The host, from what xtrabackup_info has said of it."""
    facts = Facts(result, name)
    host, options = facts.part("host"), facts.part("host").part("options")
    asked = facts if facts.has("replication") else facts.part("administrator")
    looks = [part.part("user_data") for part in (facts, facts.part("administrator")) if part.has("user_data")]
    version, job = host.text("version"), facts.part("replica_job")
    return Host(
        name=name,
        datadir=host.text("datadir"),
        installed=host.flag("installed"),
        family=_family(host.text("flavor"), name),
        version=tuple(int(number) for number in version.split(".") if number.isdigit()),
        place=_place(facts.part("source"), facts.part("backup")),
        server_id=options.number("server_id", 1),
        gtid_mode=options.text("gtid_mode", "OFF"),
        read_only=options.has("read_only") and options.text("read_only").upper() not in _OFF,
        running=host.flag("running"),
        answered=facts.has("server") or facts.part("administrator").has("server"),
        channels=tuple(_channel(one) for one in asked.parts("replication")) if asked.has("replication") else None,
        data=_merged([_user_data(look) for look in looks]),
        service=Service(
            host.text("service"),
            host.flag("service_known") if host.has("service_known") else None,
            host.text("service_datadir") if host.has("service_datadir") else None,
        ),
        received=_received(facts.part("incoming")),
        missing_files=host.texts("missing_files"),
        source=_source(facts.part("source_login")),
        places=_places(facts.part("places")),
        job=(job.text("phase") or "starting") if job.flag("alive") else "",
        job_id=job.text("id"),
        job_pid=job.number("pid"),
        job_code=job.text("code"),
    )


def parse_journal(name: str, result: object) -> Journal:
    """The note of an earlier run on the host ``name``."""
    journal = Facts(result, name).part("journal")
    record = journal.part("record")
    return Journal(
        exists=journal.flag("exists"),
        source=record.text("source"),
        phase=record.text("phase"),
        backup_id=record.text("id"),
        time=record.number("time"),
        replaces=record.flag("replaces"),
        consent=record.flag("consent"),
    )


def parse_plan(values: object) -> Plan:
    """The plan, from ``Plan.as_dict``, as far as the job that carries it out needs it."""
    facts = Facts(values, "the plan")
    try:
        step = Step(facts.text("step"))
    except ValueError:
        raise FormatError(f"the plan: {facts.text('step')!r} is no step", where="the plan") from None
    return Plan(
        step,
        facts.text("rule"),
        facts.text("why"),
        facts.text("what"),
        replaces=facts.flag("replaces"),
        consent=facts.flag("consent"),
        fresh=facts.flag("fresh"),
        arrived=facts.flag("arrived"),
        received=facts.flag("received"),
        channel=dict(facts.raw("channel") or {}),
    )


def _family(flavor: str, where: str) -> Family:
    try:
        return Flavor(flavor).family
    except ValueError:
        raise FormatError(f"{where}: {flavor!r} is no server that is known", where=where) from None


def _place(source: Facts, backup: Facts) -> Place:
    return Place(
        kind=source.text("kind", "other"),
        complete=source.flag("complete", True),
        restored=source.flag("restored"),
        proven=source.flag("proven"),
        backup_id=backup.text("id"),
    )


def _user_data(look: Facts) -> UserData:
    return UserData(
        look.text("state"), look.flag("running"), look.texts("databases"), look.texts("objects"), look.texts("unknown")
    )


def _merged(looks: list[UserData]) -> UserData:
    """Of what several accounts have seen: one that has found something counts, then one that has seen everything."""
    for state in ("found", "none"):
        for look in looks:
            if look.state == state:
                return look
    return looks[0] if looks else UserData()


def _channel(facts: Facts) -> Channel:
    position = next((facts.text(name) for name in _POSITIONS if facts.has(name)), "")
    return Channel(
        name=facts.text("channel"),
        source_host=facts.text("source_host"),
        source_port=facts.number("source_port"),
        state=facts.text("state"),
        last_error=facts.text("last_error"),
        source_server_id=facts.number("source_server_id"),
        source_uuid=facts.text("source_uuid"),
        executed=position,
        settings={name: facts.raw(name) for name in CHANNEL_SETTINGS if facts.has(name)},
    )


def _source(login: Facts) -> SourceAnswer:
    error = login.part("error")
    return SourceAnswer(
        state=login.text("state", "unknown"),
        server_id=login.number("server_id"),
        server_uuid=login.text("server_uuid"),
        message=error.text("message"),
        remedy=error.text("remedy"),
    )


def _received(incoming: Facts) -> Received:
    source = incoming.part("source")
    return Received(
        path=incoming.text("path"),
        kind=source.text("kind", "absent"),
        complete=source.flag("complete"),
        backup_id=source.text("id"),
        overlap=incoming.flag("overlap"),
        stored_bytes=incoming.number("stored_bytes"),
    )


def _places(facts: Facts) -> Places:
    error = facts.part("error")
    return Places(
        error=Problem(error.text("code"), error.text("message"), error.text("remedy")) if facts.has("error") else None,
        missing=facts.texts("missing"),
        in_the_way=facts.texts("in_the_way"),
        outside=facts.texts("outside"),
        incoming=_room(facts.part("incoming")) if facts.has("incoming") else None,
        staging=_room(facts.part("staging")) if facts.has("staging") else None,
        layout=_layout(facts.part("layout")),
    )


def _room(facts: Facts) -> Room:
    return Room(facts.text("path"), facts.number("device"), facts.number("free"))


def _layout(facts: Facts) -> dict[str, Any]:
    """The layout of InnoDB's files, as far as it is told."""
    names = ("innodb_page_size", "lower_case_table_names")
    found: dict[str, Any] = {name: facts.number(name) for name in names if facts.has(name)}
    sizes = facts.numbers("data_file_sizes")
    return {**found, "data_file_sizes": sizes} if sizes else found
