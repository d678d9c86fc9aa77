# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Identity of a server: its family, version and place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..format.family import Family, Flavor, flavor_of
from .connection import Connection, version_numbers


@dataclass(frozen=True)
class ServerIdentity:
    """Identity of the server that answered: ``version`` as it says it, ``version_tuple`` its numbers."""

    flavor: Flavor
    version: str
    version_comment: str
    server_id: int
    server_uuid: str
    hostname: str
    port: int
    datadir: Path

    @property
    def family(self) -> Family:
        """The family of the server."""
        return self.flavor.family

    @property
    def version_tuple(self) -> tuple[int, ...]:
        """The numbers of the version: (10, 11, 19)."""
        return version_numbers(self.version)

    @property
    def name(self) -> str:
        """For a person: ``MariaDB 10.11.19``."""
        return f"{self.flavor.display_name} {'.'.join(map(str, self.version_tuple))}"

    def as_dict(self) -> dict[str, Any]:
        """As in a backup's record (key ``server``)."""
        return {
            "flavor": self.flavor.value,
            "version": self.version,
            "server_id": self.server_id,
            "server_uuid": self.server_uuid,
            "hostname": self.hostname,
        }


def identify(connection: Connection) -> ServerIdentity:
    """Returns the identity of the server of ``connection``."""
    known = connection.variables(
        "version", "version_comment", "server_id", "server_uuid", "server_uid", "hostname", "port", "datadir"
    )
    version, comment = known["version"], known.get("version_comment", "")
    return ServerIdentity(
        flavor=flavor_of(version, comment),
        version=version,
        version_comment=comment,
        server_id=int(known["server_id"]),
        server_uuid=known.get("server_uuid") or known.get("server_uid", ""),
        hostname=known.get("hostname", ""),
        port=int(known.get("port", "0")),
        datadir=Path(os.path.normpath(known["datadir"])),
    )
