# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore request: it has a name, is carried out once on each host, and is remembered there.

A backup is one state among many that a data directory had, so "the data are that backup" cannot tell whether a request
was carried out: the server writes. What tells is the list of requests in the marker of the restore.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..errors import FormatError, InvalidOption, Option, RequestChanged, RequestExpired, RequestSuperseded
from ..format import strict_json
from ..format.names import LONGEST_PATH

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
DATE_REMEDY = (
    "Set the clock of this host right if it is wrong. Otherwise write the request anew, under another id, with the "
    "time of now as `date -u +%FT%TZ` prints it, and remove this one."
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_AHEAD = 3600  # seconds that the clocks of controller, hosts and who writes requests may differ
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Request:
    """A restore request. ``sha256`` is that of its content, times are UTC as in ``2026-11-28T10:00:00Z``, ``expires``
    may be "" for never."""

    id: str
    sha256: str
    created: str
    expires: str = ""


@dataclass(frozen=True)
class CarriedOut:
    """A request that was carried out, with the backup of the manifest ``manifest_sha256`` that was at ``backup``."""

    id: str
    sha256: str
    created: str
    backup: str
    manifest_sha256: str
    finished_at: str


def request_from_options(options: Mapping[str, Any]) -> Request:
    """The request in the options of a module; raises InvalidOption."""
    request = Request(options["id"], options["sha256"], options["created"], options.get("expires") or "")
    checks = [("id", request.id, _ID), ("sha256", request.sha256, _SHA256), ("created", request.created, _TIME)]
    if request.expires:
        checks.append(("expires", request.expires, _TIME))
    for name, value, pattern in checks:
        if not pattern.fullmatch(value):
            raise InvalidOption(
                f"{Option(f'request.{name}')}: {value!r} does not match {pattern.pattern}", option="request"
            )
    wrong = date_problem(request.created)
    if wrong:
        raise InvalidOption(f"{Option('request.created')}: {wrong}", remedy=DATE_REMEDY, option="request")
    return request


def date_problem(created: str) -> str:
    """Returns the fault of the time ``created`` of a request whose form is right; "" without one. A request from the
    future would refuse all later ones until its time has come."""
    now = time.time()
    if created <= _written(now + _AHEAD):
        return ""
    return f"{created} is more than an hour in the future, it is {_written(now)} on this host"


def manifest_digest_from_option(value: str) -> str:
    """``value`` if it is a digest; raises InvalidOption."""
    if not _SHA256.fullmatch(value):
        raise InvalidOption(
            f"{Option('manifest_sha256')}: {value!r} is not a SHA-256 digest in lower case hexadecimal",
            option="manifest_sha256",
        )
    return value


def request_from(found: object, where: str) -> Request:
    """The request in the marker ``where``, read back; raises KeyError, FormatError."""
    return Request(**_texts(found, [field.name for field in fields(Request)], where))


def carried_out_from(found: object, where: str) -> CarriedOut:
    """An entry of the marker ``where``, read back; raises KeyError, FormatError."""
    return CarriedOut(**_texts(found, [field.name for field in fields(CarriedOut)], where))


def _texts(found: object, names: list[str], where: str) -> dict[str, str]:
    if not isinstance(found, dict):
        raise FormatError(f"{where}: a request in it is no object", where=where)
    return {name: strict_json.text(found[name], where, name, LONGEST_PATH) for name in names}


def find_carried_out(request: Request, history: tuple[CarriedOut, ...]) -> CarriedOut | None:
    """The entry of ``history`` (oldest first) for ``request``; None when it is still to be carried out.

    Raises RequestChanged when another request had this id, RequestSuperseded when the data come from a newer one,
    RequestExpired when it is too late.
    """
    for entry in history:
        if entry.id != request.id:
            continue
        if entry.sha256 != request.sha256:
            raise RequestChanged(
                f"the request {request.id} was carried out here at {entry.finished_at} with other content "
                f"({entry.sha256[:12]}, now {request.sha256[:12]})",
                id=request.id,
                carried_out=entry.sha256,
                wanted=request.sha256,
            )
        return entry
    newest = max(history, key=_age, default=None)
    if newest is not None and _age(newest) >= request.created:
        raise RequestSuperseded(
            f"the request {request.id} of {request.created} was never carried out here, and the request {newest.id} of "
            f"{newest.created} was, at {newest.finished_at}",
            id=request.id,
            newer=newest.id,
        )
    now = utc_now()
    if request.expires and request.expires < now:
        raise RequestExpired(f"the request {request.id} was good until {request.expires}; it is {now}", id=request.id)
    return None


def _age(entry: CarriedOut) -> str:
    """Returns the time at which a request was written, or that at which it was carried out if that is earlier."""
    return min(entry.created, entry.finished_at)


def utc_now() -> str:
    """This instant, as requests and markers write it."""
    return _written(time.time())


def _written(instant: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(instant))
