# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The login that a channel will make, tried from the replica's host before anything is copied or stopped.

A wrong address, password or firewall rule would else be found at the very end, when the old data are gone.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import ConnectionFailed, XtrabackupError
from ..format.family import Family
from ..server.connection import Connection, ConnectionParameters
from ..server.identity import identify
from .model import new_channel

ACCEPTED, REFUSED, UNKNOWN = "accepted", "refused", "unknown"
_CONNECT_SECONDS = 10
# the driver does not know in which way the account logs in; the server does
_UNKNOWN_PLUGIN = 2059
# without TLS, the password is sent encrypted with the server's key, which a channel must be told to ask for
_WITH_A_KEY = re.compile(r"IDENTIFIED WITH '(caching_sha2_password|sha256_password)'")
# MariaDB's replicas of this series and later prove a certificate without an authority by the account's password
_PROVEN_BY_PASSWORD = (11, 4)


@dataclass(frozen=True)
class SourceLogin:
    """The login of a channel at its source. ``ssl``, the files, ``ssl_verify`` and ``public_key`` are those of the
    channel (None: as a new one of the host's family has it)."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    ssl: bool | None = None
    ssl_ca: str = ""
    ssl_cert: str = ""
    ssl_key: str = ""
    ssl_verify: bool | None = None
    public_key: bool = False
    family: Family = Family.MARIADB
    version: tuple[int, ...] = ()

    def of_new_channel(self, family: Family, version: tuple[int, ...]) -> SourceLogin:
        """The login with what a new channel has of a server of this family and version that is not given."""
        defaults = new_channel(family, self.ssl_ca)
        return replace(
            self,
            ssl=defaults["source_ssl"] if self.ssl is None else self.ssl,
            ssl_verify=defaults["source_ssl_verify"] if self.ssl_verify is None else self.ssl_verify,
            family=family,
            version=version,
        )

    @property
    def verified_by_host(self) -> bool:
        """Returns whether the replica's server verifies the certificate by the authorities of its host."""
        asked = bool(self.ssl and self.ssl_verify) and not self.ssl_ca
        return asked and self.family is Family.MARIADB and self.version[:2] < _PROVEN_BY_PASSWORD

    def parameters(self) -> ConnectionParameters:
        """Parameters of the same login by this program."""
        return ConnectionParameters(
            user=self.user,
            password=self.password,
            host=self.host,
            port=self.port,
            config_file="",
            ca_cert=(self.ssl_ca or None) if self.ssl else None,
            client_cert=(self.ssl_cert or None) if self.ssl else None,
            client_key=(self.ssl_key or None) if self.ssl else None,
            connect_timeout=_CONNECT_SECONDS,
            verify_host=bool(self.ssl_verify),
            verify_by_host=self.verified_by_host,
            tls=bool(self.ssl),
        )


def try_source(login: SourceLogin) -> dict[str, Any]:
    """Log in as the channel will: ``state``, and the ``server_id`` and ``server_uuid`` that answered, or the ``error``.

    ``unknown`` where this program cannot know what the server will: files that are relative to the server's data
    directory or not there, an account that the driver cannot log in with, a missing library.
    """
    files = [path for path in (login.ssl_ca, login.ssl_cert, login.ssl_key) if path and login.ssl]
    if not all(os.path.isabs(path) and os.access(path, os.R_OK) for path in files):
        return {"state": UNKNOWN, "error": None}
    try:
        with Connection(login.parameters(), read_timeout=_CONNECT_SECONDS) as connection:
            server = identify(connection)
            without = login.family is Family.MYSQL and not login.ssl and not login.public_key
            if without and _needs_a_key(connection):
                return {"state": REFUSED, "error": _no_key(login).as_dict()}
            return {"state": ACCEPTED, "server_id": server.server_id, "server_uuid": server.server_uuid, "error": None}
    except ConnectionFailed as error:
        known = error.details.get("errno") not in (None, _UNKNOWN_PLUGIN)
        return {"state": REFUSED if known else UNKNOWN, "error": error.as_dict()}
    except XtrabackupError as error:
        return {"state": UNKNOWN, "error": error.as_dict()}


def _needs_a_key(connection: Connection) -> bool:
    """Returns whether the account cannot log in without TLS unless the server's key is asked for. Only where the server
    remembers the password it can, until the server is started again."""
    rows = connection.query("SHOW CREATE USER CURRENT_USER()")
    return any(_WITH_A_KEY.search(str(value)) for row in rows for value in row.values())


def _no_key(login: SourceLogin) -> ConnectionFailed:
    return ConnectionFailed(
        f"user {login.user!r} cannot log in at {login.host}:{login.port} without TLS, unless the replica may ask for "
        "the server's public key",
        remedy="Say xtrabackup_replication_ssl: true, or xtrabackup_replication_public_key: true.",
    )
