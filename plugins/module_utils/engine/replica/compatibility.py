# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of what makes a host and its primary no pair: one rule for each thing; all problems are told at once.

Four tables: ``ALWAYS`` holds for a replica that is kept as well, ``FOR_A_NEW_ONE`` for what a new one needs beside
that, ``FOR_A_COPY`` for one whose data are still to be put in place, ``FOR_A_TRANSFER`` until they have arrived.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable

from ..errors import InvalidOption
from ..format.family import Family
from ..server.replication import REPLICATING, WantedChannel, dialect_of
from .model import Host, Primary, PrimaryServer, Problem, Request

_README = "The README of the role innodb.xtrabackup.replica says which accounts are needed."
Rule = Callable[[Primary, Host, Request], "Problem | None"]


def problems_of(rules: Iterable[Rule], primary: Primary, host: Host, request: Request) -> tuple[Problem, ...]:
    """The problem of each of ``rules`` that has one, in their order."""
    found = (rule(primary, host, request) for rule in rules)
    return tuple(problem for problem in found if problem is not None)


def request_problems(
    *, primary: str, host: str, known_hosts: Iterable[str], candidates: Iterable[str], said: bool, request: Request
) -> tuple[Problem, ...]:
    """Returns the problems of variables and inventory; nothing is asked of any host.

    ``primary`` is xtrabackup_primary, ``said`` whether it was said and not taken from ``candidates``, the hosts of the
    group primaries.
    """
    found = []
    names = tuple(candidates)
    if primary not in tuple(known_hosts) or (len(names) > 1 and not said):
        what = f"xtrabackup_primary is {primary!r}, which is no host of the inventory"
        if primary in tuple(known_hosts):
            what = "There are several hosts in the group primaries"
        elif not primary:
            what = "There is no host in the group primaries"
        found.append(
            Problem(
                "primary_unknown",
                f"{what} (group primaries: {', '.join(names) or 'empty'})",
                "Put exactly one host there, or say in xtrabackup_primary which one to replicate from.",
            )
        )
    elif primary == host:
        found.append(
            Problem(
                "primary_is_itself",
                f"{host} cannot be a replica of itself: xtrabackup_primary names this host",
                "Take the host out of the group replicas, or name another primary.",
            )
        )
    for name in ("backup_user", "backup_password"):
        if not getattr(request, name):
            found.append(_empty(name))
    return tuple(found)


def _empty(name: str) -> Problem:
    return Problem("variable_empty", f"xtrabackup_{name} is empty", _README)


# --- the primary ---------------------------------------------------------------------------------


def primary_unreachable(primary: Primary, _host: Host, _request: Request) -> Problem | None:
    """The primary's server cannot be asked; the error's own code says why."""
    if primary.server is not None or primary.error is None:
        return None
    return Problem(primary.error.code, f"{primary.name}: {primary.error.message}", primary.error.remedy)


def primary_unsupported(primary: Primary, _host: Host, _request: Request) -> Problem | None:
    """The primary's server cannot be backed up."""
    if primary.server is None or primary.server.supported:
        return None
    return Problem(
        "unsupported_server", f"{primary.name}: {primary.server.refusal}", "Replicate from a server that is supported."
    )


def privileges_missing(primary: Primary, _host: Host, request: Request) -> Problem | None:
    """The account of the backup lacks privileges on the primary."""
    lacking = primary.server.privileges_missing if primary.server is not None else ()
    if not lacking:
        return None
    everywhere = [name for name in lacking if " ON " not in name]
    grants = [f"GRANT {', '.join(everywhere)} ON *.* TO its account"] if everywhere else []
    grants += [f"GRANT {name} TO its account" for name in lacking if " ON " in name]
    return Problem(
        "privileges_missing",
        f"{primary.name}: {request.backup_user} lacks privileges; run there: {'; '.join(grants)}",
        "The README of the role innodb.xtrabackup.replica has the statements for both accounts.",
    )


def read_only_needs_more(primary: Primary, host: Host, request: Request) -> Problem | None:
    """The host's option files say read_only, and the account, which comes with the data, could not set the position."""
    lacking = primary.server.privileges_missing_on_read_only if primary.server is not None else ()
    if not lacking or not host.read_only:
        return None
    return Problem(
        "read_only_privileges_missing",
        f"the option files of {host.name} say read_only, and {request.backup_user} lacks {', '.join(lacking)}, so that "
        "it could not set the position of the replication there",
        f"Run GRANT {', '.join(lacking)} ON *.* TO its account on {primary.name}: the account comes with the data.",
    )


def binary_log_off(primary: Primary, _host: Host, _request: Request) -> Problem | None:
    """The primary has no binary log."""
    if primary.server is None or primary.server.log_bin:
        return None
    return Problem(
        "binary_log_off",
        f"{primary.name}: its binary log is off (log_bin), so nothing can follow it",
        "Set log_bin in its option file and restart it.",
    )


def updates_not_logged(primary: Primary, _host: Host, _request: Request) -> Problem | None:
    """The primary is a replica itself, and does not pass on what it replicates."""
    server = primary.server
    if server is None or not server.replicates or server.log_replica_updates:
        return None
    return Problem(
        "replica_updates_not_logged",
        f"{primary.name}: it is a replica itself, and its {server.family.facts.log_updates_variable} is OFF: what it "
        "replicates is not in its binary log and would never arrive here",
        "Set it to ON in its option file and restart it, or replicate from its own source.",
    )


# --- both ----------------------------------------------------------------------------------------


def server_not_installed(primary: Primary, host: Host, _request: Request) -> Problem | None:
    """The host has no server."""
    if host.installed:
        return None
    return Problem(
        "server_not_installed",
        f"{host.family.facts.server_programs[0]} is not installed on {host.name}",
        f"Install the same version as on {primary.name}, or say xtrabackup_install_server: true to let the role "
        "innodb.xtrabackup.install do it.",
    )


def server_id_taken(primary: Primary, host: Host, request: Request) -> Problem | None:
    """Another server of the replication has the server_id that the host's option files give."""
    if not host.installed:
        return None
    known = [*([(primary.name, primary.server.server_id)] if primary.server is not None else []), *request.peers]
    same = [name for name, number in known if number == host.server_id]
    if not same:
        return None
    number = f"{host.server_id}{' (the default)' if host.server_id == 1 else ''}"
    return Problem(
        "server_id_taken",
        f"The option files of {host.name} give its server server_id {number}, which is that of {', '.join(same)}",
        "Each server of a replication needs one of its own.",
    )


def version_unfit(primary: Primary, host: Host, _request: Request) -> Problem | None:
    """The servers are of two families or series, or the host's MySQL is older than the primary's."""
    server = primary.server
    if server is None or not host.installed:
        return None
    same_series = host.version[:2] == server.version[:2]
    if host.family is server.family and same_series and (host.family is Family.MARIADB or _not_older(host, server)):
        return None
    here, there = (
        ".".join(map(str, version if same_series else version[:2])) for version in (host.version, server.version)
    )
    older = ", and of MySQL by no older version of it" if server.family is Family.MYSQL else ""
    return Problem(
        "server_version_unfit",
        f"The server that is installed on {host.name} is {host.family.display_name} {here}, {primary.name} runs "
        f"{server.family.display_name} {there}",
        f"A copy can only be made consistent by the series that it is of{older}.",
    )


def _not_older(host: Host, server: PrimaryServer) -> bool:
    return host.version >= server.version


def gtid_mode_off(primary: Primary, host: Host, _request: Request) -> Problem | None:
    """The primary uses GTIDs, and the host's option files do not say so. MySQL only."""
    if primary.server is None or host.family is not Family.MYSQL or not host.installed:
        return None
    if primary.server.gtid_mode != "ON" or host.gtid_mode.upper() in ("ON", "3"):
        return None
    return Problem(
        "gtid_mode_off",
        f"{primary.name} runs with gtid_mode=ON, and the option files of {host.name} do not say so",
        "set gtid_mode=ON and enforce_gtid_consistency=ON there.",
    )


# --- what a new replica needs --------------------------------------------------------------------


def replication_user_empty(_primary: Primary, _host: Host, request: Request) -> Problem | None:
    """No account for the channel was given."""
    return None if request.replication_user else _empty("replication_user")


def replication_password_empty(_primary: Primary, _host: Host, request: Request) -> Problem | None:
    """No password for the channel was given."""
    return None if request.replication_password else _empty("replication_password")


def source_login_refused(primary: Primary, host: Host, request: Request) -> Problem | None:
    """The login of the channel was refused, or nothing answers at the address of the primary."""
    if host.source.state != "refused" or primary.server is None:
        return None
    return Problem(
        "source_login_refused",
        f"{host.name} cannot log in to {request.source} as the replica will: {host.source.message}",
        f"{host.source.remedy} What is tried: xtrabackup_primary_address, xtrabackup_primary_port, "
        "xtrabackup_replication_user, xtrabackup_replication_password, xtrabackup_replication_ssl, its _ca, "
        "_cert, _key and _verify, xtrabackup_replication_public_key. With xtrabackup_replica_try_source: false it is "
        "not tried.",
    )


def source_is_another(primary: Primary, host: Host, request: Request) -> Problem | None:
    """A server answers at the address of the primary, and it is another one."""
    server, answer = primary.server, host.source
    if server is None or answer.state != "accepted":
        return None
    same_uuid = not (answer.server_uuid and server.server_uuid) or answer.server_uuid == server.server_uuid
    if same_uuid and answer.server_id == server.server_id:
        return None
    return Problem(
        "source_is_another",
        f"the server that {host.name} reaches at {request.source} has server_id {answer.server_id}, and that of "
        f"{primary.name} has server_id {server.server_id}: they are two servers",
        f"Correct xtrabackup_primary_address and xtrabackup_primary_port, by which the replicas reach {primary.name}.",
    )


def channel_impossible(_primary: Primary, host: Host, request: Request) -> Problem | None:
    """The server would refuse a channel with these settings, or cut one of them."""
    if not request.replication_user:
        return None
    wanted = WantedChannel(
        state=REPLICATING,
        source_host=request.source_host,
        source_port=request.source_port,
        source_user=request.replication_user,
        source_password=request.replication_password,
        source_ssl_ca=request.settings.get("source_ssl_ca"),
        source_ssl_cert=request.settings.get("source_ssl_cert"),
        source_ssl_key=request.settings.get("source_ssl_key"),
    )
    try:
        dialect_of(host.family).check(wanted)
    except InvalidOption as error:
        return Problem(error.code, error.message, error.remedy)
    return None


def authority_missing(_primary: Primary, host: Host, request: Request) -> Problem | None:
    """The certificate is to be verified, and nobody says by which authority. MySQL does not take the host's."""
    given = request.settings
    if host.family is not Family.MYSQL or not given.get("source_ssl_verify") or given.get("source_ssl_ca"):
        return None
    if not given.get("source_ssl", True):
        return None
    return Problem(
        "authority_missing",
        "xtrabackup_replication_ssl_verify is true, and no xtrabackup_replication_ssl_ca says by which authority the "
        f"certificate of {request.source} is to be verified: MySQL on {host.name} would not connect",
        "Say xtrabackup_replication_ssl_ca, a file there with the certificate of the authority.",
    )


def file_missing(_primary: Primary, host: Host, _request: Request) -> Problem | None:
    """A file for the channel was named and is not on the host."""
    if not host.missing_files:
        return None
    return Problem(
        "file_missing",
        "; ".join(f"there is no file {path} on this host" for path in host.missing_files) + f" ({host.name})",
        "Correct xtrabackup_replication_ssl_ca, _cert or _key, or put the file there.",
    )


def incoming_overlaps(_primary: Primary, host: Host, _request: Request) -> Problem | None:
    """The backup would arrive inside the directory that it is to replace, or around it."""
    if not host.received.overlap:
        return None
    return Problem(
        "incoming_overlaps",
        f"{host.received.path}, where the backup is to arrive, and the data directory {host.datadir} are one inside "
        "the other, so the one cannot take the other's place",
        "Set xtrabackup_replica_incoming_dir to a directory beside the data directory.",
    )


def service_unknown(_primary: Primary, host: Host, _request: Request) -> Problem | None:
    """No service of this name can stop and start the server."""
    if host.service is None or host.service.known is not False:
        return None
    return Problem(
        "service_unknown",
        f"{host.name} has no service {host.service.name}, which is to stop and start the server",
        "Say its name in xtrabackup_server_service, or say xtrabackup_server_start_command and "
        "xtrabackup_server_stop_command.",
    )


def service_of_others(_primary: Primary, host: Host, _request: Request) -> Problem | None:
    """The service runs a server on another data directory."""
    if host.service is None or not host.service.datadir or host.service.datadir == host.datadir:
        return None
    return Problem(
        "service_of_others",
        f"the service {host.service.name} of {host.name} runs a server on {host.service.datadir}, "
        f"not on {host.datadir}",
        "Say in xtrabackup_server_service which service is this data directory's, or correct xtrabackup_datadir.",
    )


# --- what a copy needs ---------------------------------------------------------------------------


def place_unfit(_primary: Primary, host: Host, _request: Request) -> Problem | None:
    """Nothing can be put where the server wants its files; the error's own code says why."""
    error = host.places.error
    if error is None or host.received.overlap:
        return None
    return Problem(error.code, f"{host.name}: {error.message}", error.remedy)


def log_directory_missing(_primary: Primary, host: Host, _request: Request) -> Problem | None:
    """A directory for logs is not there, so the server would not start on the copy."""
    missing = host.places.missing
    if not missing:
        return None
    return Problem(
        "log_directory_missing",
        f"{', '.join(missing)}, which the option files of {host.name} name for logs, is no directory there: its server "
        "would not start",
        "Make it, for the account of the server, or correct log_bin and relay_log in its option file.",
    )


def no_data_directory(_primary: Primary, host: Host, _request: Request) -> Problem | None:
    """The directory holds something that is no server's data. That is never replaced."""
    names = host.places.in_the_way
    if not names:
        return None
    return Problem(
        "no_data_directory",
        f"{host.datadir} of {host.name} does not look like a data directory ({', '.join(names[:5])}), so it is not "
        "replaced, with consent or without",
        "Remove by hand what is in it, if it may go, or name another directory in the option file.",
    )


def layout_unfit(primary: Primary, host: Host, request: Request) -> Problem | None:
    """The host's option files say of InnoDB what a copy of the primary cannot be opened with."""
    if primary.server is None or version_unfit(primary, host, request) is not None:
        return None
    here, there = host.places.layout, primary.server.layout
    found, wanted = [], []
    for name in ("innodb_page_size", "lower_case_table_names"):
        ours, theirs = here.get(name), there.get(name)
        if ours is not None and theirs is not None and ours != theirs:
            found.append(f"{name}={ours}")
            wanted.append(f"{name}={theirs}")
    mine, others = here.get("data_file_sizes") or (), there.get("data_file_sizes") or ()
    # the last file may have grown
    if mine and others and (len(mine), mine[:-1]) != (len(others), others[:-1]):
        found.append(f"innodb_data_file_path with files of {', '.join(map(str, mine))} bytes")
        wanted.append(f"innodb_data_file_path as on {primary.name}")
    if not found:
        return None
    return Problem(
        "layout_unfit",
        f"the option files of {host.name} say {', '.join(found)}, with which no server opens data of {primary.name}",
        f"Set {', '.join(wanted)} in the option file of {host.name}.",
    )


def no_room(primary: Primary, host: Host, _request: Request) -> Problem | None:
    """The data of the primary need more than is free where they arrive, or where they are put after that."""
    size = primary.server.data_bytes if primary.server is not None else None
    incoming, staging = host.places.incoming, host.places.staging
    if size is None or incoming is None or staging is None:
        return None
    full = [(incoming, "where the copy arrives", incoming.free + host.received.stored_bytes)]
    if staging.device != incoming.device:
        full.append((staging, "where it is put then", staging.free))
    found = [f"the file system of {room.path}, {what}, has {free}" for room, what, free in full if free < size]
    if not found:
        return None
    return Problem(
        "disk_full",
        f"the data of {primary.name} are {size} bytes, and on {host.name} {', and '.join(found)} bytes free",
        "Make room there, or say in xtrabackup_replica_incoming_dir where there is room. On the file system of the "
        "data directory, but not in that, a copy needs its room only once.",
    )


ALWAYS: tuple[Rule, ...] = (
    server_not_installed,
    primary_unreachable,
    primary_unsupported,
    privileges_missing,
    binary_log_off,
    updates_not_logged,
    server_id_taken,
    version_unfit,
    gtid_mode_off,
)
FOR_A_NEW_ONE: tuple[Rule, ...] = (
    read_only_needs_more,
    replication_user_empty,
    replication_password_empty,
    channel_impossible,
    authority_missing,
    source_login_refused,
    source_is_another,
    file_missing,
    incoming_overlaps,
    service_unknown,
    service_of_others,
)
FOR_A_COPY: tuple[Rule, ...] = (place_unfit, log_directory_missing, no_data_directory)
FOR_A_TRANSFER: tuple[Rule, ...] = (layout_unfit, no_room)
