# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remedies for a refused login or an ended connection: by its error number, each tried on both families."""

from __future__ import annotations

import re
import sys

from ..errors import BECOME_USER, Clause, MissingLibrary, Option

CONNECTIONS = 4
"""How many connections a backup has open at a time, at most."""

_SOCKET = Option("login_unix_socket")
_LOGIN = (
    f"Check {Option('login_user')} and {Option('login_password')}, and that this account may connect from here; "
    "one that "
    f"must use TLS needs {Option('ca_cert')}, or the server's socket."
)
_LOGIN_ERRNOS = (1043, 1044, 1045)
_EXPIRED = "As an administrator give it a password again: ALTER USER {account} IDENTIFIED BY '...', and that one here."
_UNLOCK = "As an administrator: ALTER USER {account} ACCOUNT UNLOCK."
_FEW_CONNECTIONS = (
    "As an administrator: ALTER USER {account} WITH MAX_USER_CONNECTIONS {connections}. So many are open at a time."
)
_REMEDIES = {
    **dict.fromkeys(_LOGIN_ERRNOS, _LOGIN),
    1040: "Wait until clients have gone, or raise max_connections on the server.",
    1129: "Run FLUSH HOSTS on the server (mysqladmin flush-hosts): connections from here failed too often.",
    1130: "Make an account for this host (CREATE USER {account}, with the host that the message names), or connect "
    f"through the socket ({_SOCKET}).",
    1184: "Correct init_connect on the server, which fails for this account (SELECT @@GLOBAL.init_connect shows it, "
    "the error log has its error), or let the account do without: GRANT CONNECTION ADMIN ON *.* TO {account} on "
    "MariaDB, GRANT CONNECTION_ADMIN ON *.* TO {account} on MySQL.",
    1203: _FEW_CONNECTIONS,
    1698: "This account logs in as an account of the operating system: run this as that one"
    f"{Clause(f' ({BECOME_USER})')}, or give the account a password.",
    1820: _EXPIRED,
    1862: _EXPIRED,
    2059: "Let the account log in in a way that the driver knows: mysql_native_password, caching_sha2_password, "
    "ed25519 or unix_socket.",
    3118: _UNLOCK,
    3159: f"Give {Option('ca_cert')}, so that TLS is used, or connect through the socket ({_SOCKET}).",
    4151: _UNLOCK,
}
_EXCEEDED = 1226
_RESOURCES = {
    "max_user_connections": _FEW_CONNECTIONS,
    "max_connections_per_hour": "As an administrator: ALTER USER {account} WITH MAX_CONNECTIONS_PER_HOUR 0.",
    "max_queries_per_hour": "As an administrator: ALTER USER {account} WITH MAX_QUERIES_PER_HOUR 0.",
    "max_questions": "As an administrator: ALTER USER {account} WITH MAX_QUERIES_PER_HOUR 0.",
    "max_updates": "As an administrator: ALTER USER {account} WITH MAX_UPDATES_PER_HOUR 0.",
    "max_updates_per_hour": "As an administrator: ALTER USER {account} WITH MAX_UPDATES_PER_HOUR 0.",
}
_ED25519 = "pynacl"


def is_refused_login(errno: int) -> bool:
    """Returns whether ``errno`` is that of a server that is there, and does not want us."""
    return errno == _EXCEEDED or errno in _REMEDIES


def remedy_of(errno: int, text: str, user: str | None) -> str | None:
    """Returns the remedy for the error ``errno``, whose text is ``text``; None when nothing special is known."""
    remedy = _REMEDIES.get(errno)
    if errno == _EXCEEDED:
        named = re.search(r"'(max_\w+)' resource", text)
        remedy = _RESOURCES.get(named.group(1) if named else "", "Raise that limit of the account (ALTER USER).")
    account = f"'{user}'@'...'" if user else "of that account"
    return None if remedy is None else remedy.replace("{account}", account).replace("{connections}", str(CONNECTIONS))


def missing_library(error: BaseException, user: str | None) -> MissingLibrary | None:
    """The error for a login for which the driver lacks a library; None when it is something else."""
    if not isinstance(error, RuntimeError) or _ED25519 not in str(error):
        return None
    return MissingLibrary(
        f"the account {user!r} logs in with ed25519, for which the Python library PyNaCl is needed, and "
        f"{sys.executable} cannot import it",
        remedy="Install the package python3-nacl (Debian) or PyNaCl (PyPI) for this Python, or let the account log in "
        f"in another way: ALTER USER '{user}'@'...' IDENTIFIED VIA mysql_native_password USING PASSWORD('...').",
        library="PyNaCl",
    )
