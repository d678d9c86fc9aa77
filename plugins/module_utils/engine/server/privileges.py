# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Privileges that an account has and lacks, read before anything is started.

Which ones it needs is in ``mariadb/privileges.py`` and ``mysql/privileges.py``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Protocol

from ..errors import MissingPrivilege, Option, ServerError
from ..format.family import Family, flavor_of
from .connection import Connection, version_numbers
from .mariadb import privileges as mariadb_privileges
from .mysql import privileges as mysql_privileges

ALL = "ALL PRIVILEGES"

_GLOBAL_GRANT = re.compile(r"GRANT (?P<privileges>.+?) ON \*\.\* TO ", re.IGNORECASE)
_ROLE_GRANT = re.compile(r"GRANT (?P<role>`(?:[^`]|``)+`|[^\s,]+) TO ", re.IGNORECASE)
_SKIP_GRANT_TABLES = (1290, 1141)  # ER_OPTION_PREVENTS_STATEMENT; MySQL: ER_NONEXISTING_GRANT
_TABLE_ACCESS_DENIED = 1142  # ER_TABLEACCESS_DENIED_ERROR
ACCESS_DENIED = 1227  # ER_SPECIFIC_ACCESS_DENIED_ERROR: a privilege on *.* is missing
_ON = " ON "


class _Privileges(Protocol):
    """Functions that the module of a family has."""

    BACKUP_PRIVILEGES: dict[str, str]
    REPLICATION_PRIVILEGES: dict[str, str]
    RESET_PRIVILEGES: dict[str, str]
    ALIASES: dict[str, str]

    def implied_by_super(self, version: tuple[int, ...], /) -> frozenset[str]: ...

    def position_privileges(self, *, read_only: bool) -> dict[str, str]: ...


_PRIVILEGES: dict[Family, _Privileges] = {Family.MARIADB: mariadb_privileges, Family.MYSQL: mysql_privileges}


def parse_global_privileges(grants: Iterable[str], family: Family) -> frozenset[str]:
    """The privileges on ``*.*`` in the lines of SHOW GRANTS, which list what active roles add; PROXY is none.

    By the names that servers of ``family`` print today.
    """
    aliases = {"ALL": ALL, **_PRIVILEGES[family].ALIASES}
    held: set[str] = set()
    for line in grants:
        match = _GLOBAL_GRANT.match(line)
        if match:
            names = (" ".join(name.upper().split()) for name in match.group("privileges").split(","))
            held.update(aliases.get(name, name) for name in names)
    return frozenset(held - {"USAGE"})


def parse_roles(grants: Iterable[str]) -> list[str]:
    """The roles in the lines of SHOW GRANTS, active or not."""
    roles = []
    for line in grants:
        match = _ROLE_GRANT.match(line)
        if match:
            roles.append(match.group("role").strip("`").replace("``", "`"))
    return roles


def lacking(held: Collection[str], wanted: Iterable[str], version: tuple[int, ...], family: Family) -> list[str]:
    """Those of ``wanted`` that somebody with ``held`` lacks on a server of ``family`` and ``version``."""
    if ALL in held:
        return []
    granted = set(held)
    if "SUPER" in granted:
        granted |= _PRIVILEGES[family].implied_by_super(version)
    return [name for name in wanted if name not in granted]


def missing_privileges(connection: Connection, wanted: Iterable[str]) -> list[str]:
    """Those of ``wanted`` that the account of ``connection`` lacks, active roles counted."""
    wanted = list(wanted)
    version = str(connection.scalar("SELECT @@version"))
    family = _family_of(connection)
    held = parse_global_privileges(_grants(connection), family)
    on_tables = [name for name in wanted if _ON in name and not _may_read(connection, name.split(_ON)[1])]
    on_all = [name for name in wanted if _ON not in name]
    return lacking(held, on_all, version_numbers(version), family) + on_tables


def global_grants(connection: Connection) -> frozenset[str]:
    """The privileges on ``*.*`` that the account of ``connection`` holds, and ``REVOKE`` when some of them do not count
    for every database (MySQL's partial revokes)."""
    grants = _grants(connection)
    partial = {"REVOKE"} if any(line.upper().startswith("REVOKE ") for line in grants) else set()
    return parse_global_privileges(grants, _family_of(connection)) | partial


def backup_privileges(connection: Connection) -> dict[str, str]:
    """Returns the privileges for a backup of the server of ``connection``, each with its purpose."""
    return _PRIVILEGES[_family_of(connection)].BACKUP_PRIVILEGES


def replication_privileges(connection: Connection) -> dict[str, str]:
    """Returns the privileges to manage replication channels of the server, each with its purpose."""
    return _PRIVILEGES[_family_of(connection)].REPLICATION_PRIVILEGES


def require_backup_privileges(connection: Connection, *, channels: bool = True) -> None:
    """Raises MissingPrivilege, with the exact GRANT, when the account cannot take a backup.

    Without ``channels`` what only serves to read MariaDB's replica channels is not asked for.
    """
    wanted = backup_privileges(connection)
    _require(
        connection,
        {name: why for name, why in wanted.items() if channels or name != mariadb_privileges.CHANNELS},
        "take a backup",
    )


def position_privileges(connection: Connection, *, read_only: bool) -> dict[str, str]:
    """Returns the privileges to set the position of a server that has no channel yet, each with its purpose."""
    return _PRIVILEGES[_family_of(connection)].position_privileges(read_only=read_only)


def require_replication_privileges(connection: Connection, *, reset: bool = False, position: bool = False) -> None:
    """Raises MissingPrivilege, with the exact GRANT, when the account cannot manage replication channels;
    ``reset``: when a channel is to be removed; ``position``: when the server's position is to be set."""
    wanted = dict(replication_privileges(connection))
    if reset:
        wanted.update(_PRIVILEGES[_family_of(connection)].RESET_PRIVILEGES)
    if position:
        read_only = connection.variables("read_only")["read_only"] in ("ON", "1")
        wanted.update(position_privileges(connection, read_only=read_only))
    _require(connection, wanted, "manage replication")


def require_stopping_privileges(connection: Connection) -> None:
    """Raises MissingPrivilege, with the exact GRANT, when the account cannot stop and start SQL threads."""
    _require(
        connection,
        dict(replication_privileges(connection)),
        f"stop and start SQL threads ({Option('safe_slave_backup')})",
    )


def _require(connection: Connection, wanted: dict[str, str], task: str) -> None:
    missing = missing_privileges(connection, wanted)
    if not missing:
        return
    account = quoted_account(connection)
    grants = grants_of(missing, account)
    grant = " ".join(grants)
    reasons = "; ".join(f"{name}: {wanted[name]}" for name in missing)
    raise MissingPrivilege(
        f"the account {account} cannot {task} before {grant} is run (needed for {reasons})",
        remedy=MissingPrivilege.default_remedy + _idle_roles(connection, account),
        account=account,
        missing=missing,
        grant=grant,
        grants=grants,
    )


def grants_of(privileges: Iterable[str], account: str) -> list[str]:
    """The statements that give ``privileges``: all global ones in one, one for each table."""
    privileges = list(privileges)
    on_all = ", ".join(name for name in privileges if _ON not in name)
    statements = [f"GRANT {on_all} ON *.* TO {account};"] if on_all else []
    statements += [f"GRANT {name} TO {account};" for name in privileges if _ON in name]
    return statements


def _idle_roles(connection: Connection, account: str) -> str:
    """Returns the remedy when the account has roles and none of them is active, "" when that is not so."""
    roles = parse_roles(_grants(connection))
    if not roles or str(connection.scalar("SELECT CURRENT_ROLE()") or "NONE") != "NONE":
        return ""
    if _family_of(connection) is Family.MYSQL:
        return f" Or make a role active that has them: SET DEFAULT ROLE ALL TO {account};"
    return f" Or make a role active that has them: SET DEFAULT ROLE `{roles[0]}` FOR {account};"


def _may_read(connection: Connection, table: str) -> bool:
    try:
        connection.query(f"SELECT 1 FROM {table} LIMIT 0")  # noqa: S608 - a table of our own constants
    except ServerError as error:
        if error.details.get("errno") == _TABLE_ACCESS_DENIED:
            return False
        raise
    return True


def _family_of(connection: Connection) -> Family:
    known = connection.variables("version", "version_comment")
    return flavor_of(known["version"], known.get("version_comment", "")).family


def quoted_account(connection: Connection) -> str:
    """The account that the server took this login for, as GRANT wants it: ``'backup'@'localhost'``."""
    user, _at, host = str(connection.scalar("SELECT CURRENT_USER()")).rpartition("@")
    return f"{connection.escape(user)}@{connection.escape(host)}"


def _grants(connection: Connection) -> list[str]:
    try:
        # the plain form: only it lists what the active roles add
        rows = connection.query("SHOW GRANTS")
    except ServerError as error:
        if error.details.get("errno") in _SKIP_GRANT_TABLES:
            return [f"GRANT {ALL} ON *.* TO everybody"]
        raise
    return [str(value) for row in rows for value in row.values()]
