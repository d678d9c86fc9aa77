# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The login that a channel will make, tried from the replica's host before anything is copied or stopped.

A wrong address, password or firewall rule would else be found at the very end, when the old data are gone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConnectionFailed, XtrabackupError
from ..server.connection import Connection, ConnectionParameters
from ..server.identity import identify

ACCEPTED, REFUSED, UNKNOWN = "accepted", "refused", "unknown"
_CONNECT_SECONDS = 10
# the driver does not know in which way the account logs in; the server does
_UNKNOWN_PLUGIN = 2059


@dataclass(frozen=True)
class SourceLogin:
    """The login of a channel at its source. ``ssl`` (None: as a new channel of the host's family has it) and the files
    are those of the channel."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    ssl: bool | None = None
    ssl_ca: str = ""
    ssl_cert: str = ""
    ssl_key: str = ""
    ssl_verify: bool = False

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
            verify_host=self.ssl_verify,
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
            return {"state": ACCEPTED, "server_id": server.server_id, "server_uuid": server.server_uuid, "error": None}
    except ConnectionFailed as error:
        known = error.details.get("errno") not in (None, _UNKNOWN_PLUGIN)
        return {"state": REFUSED if known else UNKNOWN, "error": error.as_dict()}
    except XtrabackupError as error:
        return {"state": UNKNOWN, "error": error.as_dict()}
