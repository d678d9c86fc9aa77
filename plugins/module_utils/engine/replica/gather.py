# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that is on a host which may become a replica, read in one go. Changes nothing.

The server is asked as the account of backups; as its administrator only where that account cannot see everything.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..catalog import describe_path, describe_user_data
from ..errors import ConnectionFailed, StorageError
from ..format.family import Flavor
from ..host import running
from ..host.data_size import stored_bytes
from ..host.programs import answer_of
from ..server.connection import Connection, ConnectionParameters
from ..server.facts import objects_of, replication_facts, server_facts
from ..server.installed import InstalledServer, ServerRequest, find_installed
from .journal import read_journal
from .places import read_places, real_datadir
from .source_login import SourceLogin, try_source

_SYSTEMD = "/run/systemd/system"
_PROC = Path("/proc")
_UNIT_SUFFIX = ".service"
_DEBIAN = "/etc/debian_version"


@dataclass(frozen=True)
class HostQuestion:
    """Parameters of a query about a host. ``service`` empty: the usual name; ``service_managed``: whether a service
    manager stops and starts the server. ``incoming``: where a backup arrives, "" for beside the data directory.
    ``files``: those that must be there. ``source``: the login of the channel, None where it is not to be tried."""

    server: ServerRequest
    service: str = ""
    service_managed: bool = True
    incoming: str = ""
    files: Sequence[str] = ()
    source: SourceLogin | None = None


def read_host(question: HostQuestion) -> dict[str, Any]:
    """The server that is installed, its service, and which of the files are missing. Needs no login.

    Raises what ``find_installed`` does.
    """
    server = find_installed(question.server)
    # a relative one starts at the server's data directory
    missing = [path for path in question.files if os.path.isabs(path) and not os.path.isfile(path)]
    return {
        **server.as_dict(),
        "service_known": None,
        "service_datadir": None,
        "missing_files": missing,
        **_service(question, server),
    }


def read_all(
    question: HostQuestion, login: ConnectionParameters, administrator: ConnectionParameters
) -> dict[str, Any]:
    """All of it: the host as ``read_host``, the data directory, the server as both logins see it, the journal of an
    earlier run, what has arrived, and the places that a copy goes to."""
    host = read_host(question)
    datadir = host["datadir"]
    result: dict[str, Any] = {"host": host}
    result["source"], result["backup"] = describe_path(datadir)
    is_datadir = result["source"]["kind"] == "datadir"
    result.update(_asked(datadir, is_datadir, replace(login, unix_socket=login.unix_socket or host["socket"])))
    if host["answers"] and not _has_seen_enough(result):
        place = administrator.unix_socket or host["socket"]
        result["administrator"] = _asked(datadir, is_datadir, replace(administrator, unix_socket=place))
    if question.source is not None:
        version = tuple(int(number) for number in host["version"].split(".") if number.isdigit())
        source = question.source.of_new_channel(Flavor(host["flavor"]).family, version)
        result["source_login"] = try_source(source)
    incoming = incoming_of(question, datadir)
    result["journal"] = read_journal(journal_of(incoming))
    result["incoming"] = {"path": incoming, "overlap": _overlap(datadir, incoming), "source": None, "backup": None}
    if result["journal"]["exists"]:
        result["incoming"]["source"], result["incoming"]["backup"] = describe_path(incoming)
        result["incoming"]["stored_bytes"] = stored_bytes(incoming)
    result["places"] = read_places(question.server, host, incoming)
    return result


def incoming_of(question: HostQuestion, datadir: str) -> str:
    """The place where a backup for ``datadir`` arrives: beside it, where a symbolic link to it does not matter."""
    return question.incoming or f"{real_datadir(datadir)}.incoming"


def journal_of(incoming: str) -> str:
    """The path of the journal of the job whose backup arrives at ``incoming``."""
    return f"{incoming}.journal"


def _asked(datadir: str, is_datadir: bool, login: ConnectionParameters) -> dict[str, Any]:
    """Returns what the server says to ``login``, and whether ``datadir`` holds user data as far as that account
    sees."""
    answer: dict[str, Any] = {"server": None, "replication": None}
    objects = None
    try:
        with Connection(login) as connection:
            server = server_facts(connection)
            _require_on(server["datadir"], datadir, login.unix_socket)
            answer.update(server=server, replication=replication_facts(connection))
            objects = objects_of(connection, datadir)
    except ConnectionFailed as error:
        answer["server_error"] = error.as_dict()
    if is_datadir:
        answer["user_data"] = describe_user_data(datadir, objects)
    return answer


def _require_on(there: str, datadir: str, socket: str | None) -> None:
    """Raises ConnectionFailed when the server that answers is another one than that of ``datadir``."""
    with contextlib.suppress(OSError):
        if os.path.samefile(there, datadir):
            return
    raise ConnectionFailed(
        f"the server that answers at {socket} runs on {there}, not on {datadir}",
        remedy="Correct xtrabackup_login_unix_socket or xtrabackup_datadir.",
        path=datadir,
    )


def _has_seen_enough(answer: dict[str, Any]) -> bool:
    """Returns whether the first account has seen a channel, or everything and nothing of a user."""
    if answer["replication"]:
        return True
    return answer["replication"] is not None and answer.get("user_data", {}).get("state") == "none"


# --- places and the service ----------------------------------------------------------------------


def _overlap(datadir: str, incoming: str) -> bool:
    """Returns whether one of two places is the other or inside it, links followed."""
    one, other = os.path.realpath(datadir), os.path.realpath(incoming)
    return os.path.commonpath([one, other]) in (one, other)


def _service(question: HostQuestion, server: InstalledServer) -> dict[str, Any]:
    """The ``service`` and what is known of it: the one that is given, else the unit that runs the server, the one that
    an interrupted run has stopped, or the usual one."""
    managed = question.service_managed
    if managed and server.pid and not question.service:
        unit = _unit_of(server.pid)
        if unit:
            return {"service": unit, "service_known": True, "service_datadir": server.datadir}
    name = question.service or _noted_service(question, server) or _usual_service(server.flavor)
    return {"service": name, **(_service_facts(name, server) if managed else {})}


def _noted_service(question: HostQuestion, server: InstalledServer) -> str:
    """The service that the journal of an interrupted run has; "" where there is none."""
    with contextlib.suppress(StorageError):
        return str(read_journal(journal_of(incoming_of(question, server.datadir)))["record"].get("service") or "")
    return ""


def _unit_of(pid: int) -> str:
    """The systemd unit, such as ``mariadb@two``, whose main process ``pid`` is; "" where there is none.

    The control group has its name: ``0::/system.slice/mariadb.service``, with version 1 a line for each controller
    (cgroups(7)). A server that was started by hand is in the group of something else, which is not to be stopped.
    """
    try:
        lines = (_PROC / str(pid) / "cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for name in {line.rpartition("/")[2] for line in lines}:
        if name.endswith(_UNIT_SUFFIX) and _unit_facts(name).get("MainPID") == str(pid):
            return name[: -len(_UNIT_SUFFIX)]
    return ""


def _unit_facts(unit: str) -> dict[str, str]:
    """Properties of ``unit`` as systemd shows them; {} without systemd."""
    if not os.path.isdir(_SYSTEMD):
        return {}
    answer = answer_of(["systemctl", "show", "--property=LoadState,MainPID", "--", unit])
    if answer is None or answer.returncode:
        return {}
    return dict(line.split("=", 1) for line in answer.stdout.splitlines() if "=" in line)


def _usual_service(flavor: str) -> str:
    if flavor == "mariadb":
        return "mariadb"
    return "mysql" if os.path.exists(_DEBIAN) else "mysqld"


def _service_facts(name: str, server: InstalledServer) -> dict[str, Any]:
    """Returns whether systemd knows the service, and the data directory of the server that it runs; {} without
    systemd."""
    reported = _unit_facts(name if name.endswith(_UNIT_SUFFIX) else f"{name}{_UNIT_SUFFIX}")
    if "LoadState" not in reported:
        return {}
    own = next((one for one in running.servers() if str(one.pid) == reported.get("MainPID")), None)
    directory = "" if own is None else server.datadir if own.works_in(Path(server.datadir)) else own.directory
    return {"service_known": reported["LoadState"] != "not-found", "service_datadir": directory}
