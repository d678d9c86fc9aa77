# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MySQL's redo log archiving: while a session lives, the server also writes its redo log to a file for it.

Nobody waits for the reader of an archive, as the server does for a consumer: the file grows instead. What was tested on
MySQL 9.7:

* labels and directories are taken as they stand in ``innodb_redo_log_archive_dirs``, spaces included;
* one session archives at a time; the file is ``archive.<server_uuid>.000001.log``, readable for the server's user and
  group only, and must not be there yet;
* when the session ends without having stopped, the server ends archiving and removes the file; it is left behind when
  archiving is stopped, or the server is killed;
* ``ALTER INSTANCE DISABLE INNODB REDO_LOG`` is refused meanwhile.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from ...errors import ServerError, StorageError
from ...host import below
from ..connection import Connection
from ..privileges import grants_of, quoted_account

DEFAULT_LEASE = 600  # seconds
PRIVILEGE = "INNODB_REDO_LOG_ARCHIVE"
VARIABLE = "innodb_redo_log_archive_dirs"

_START = "SELECT innodb_redo_log_archive_start(%s) AS status"
_ACCESS_DENIED = 1227  # ER_SPECIFIC_ACCESS_DENIED_ERROR
_PLACE_ERRORS = range(3842, 3848)  # the label, the directory, the file: it may be another one's turn


@dataclass(frozen=True)
class ArchivePlace:
    """One item of ``innodb_redo_log_archive_dirs``: a directory, by its label (which may be empty)."""

    label: str
    directory: str


def parse_archive_dirs(value: str) -> list[ArchivePlace]:
    """The places in ``label:dir[;label:dir]``, as the server understands it: of equal labels, the first."""
    places: dict[str, ArchivePlace] = {}
    for item in value.split(";"):
        label, colon, directory = item.partition(":")
        if colon and directory:
            places.setdefault(label, ArchivePlace(label, directory))
    return list(places.values())


class RedoArchive:
    """Archiving while the ``with`` block lasts, if the server and this host let us: ``held`` says so, ``path`` where,
    ``reason`` why not.

    ``connection`` must be of its own: the end of its session is the end of the archive. Nothing here raises for an
    archive that cannot be had or is lost. Begin before the follower looks for the checkpoint it starts at; give
    ``advance`` to it as ``on_progress``. An archive whose reader gives no sign of life for ``lease`` seconds ends, so
    that one that was stopped does not fill the disk.
    """

    def __init__(self, connection: Connection, lease: int = DEFAULT_LEASE) -> None:
        self._connection = connection
        self._lease = lease
        self.held = False
        self.path = ""
        self.reason = ""

    def __enter__(self) -> RedoArchive:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Let the server archive from now on, in the first place that it accepts."""
        try:
            variables = self._connection.variables(VARIABLE, "server_uuid")
            places = parse_archive_dirs(variables.get(VARIABLE, ""))
            if not any(self._started_at(place, variables["server_uuid"]) for place in places):
                self.reason = self.reason or f"{VARIABLE} is not set"
                return
            self._connection.execute(f"SET SESSION wait_timeout = {self._lease}")
            # of the server's own user and group, on its own host: prove that it can be read from here
            with below.reading_file(self.path):
                self.held = True
                self.reason = ""
        except ServerError as error:
            self._lost(self._why(error))
        except StorageError as error:
            self._lost(error.message)
        except OSError as error:
            self._lost(f"{self.path}: {os.strerror(error.errno or 0)}")

    def _started_at(self, place: ArchivePlace, server_uuid: str) -> bool:
        try:
            status = self._connection.scalar(_START, [place.label])
        except ServerError as error:
            if error.details.get("errno") not in _PLACE_ERRORS:
                raise
            self.reason = error.message
            return False
        if status != 0:
            self.reason = f"the server did not begin an archive in {place.directory}"
            return False
        self.path = os.path.join(place.directory, f"archive.{server_uuid}.000001.log")
        return True

    def advance(self, _lsn: int) -> None:
        """The reader is alive. Call it at least three times in a lease."""
        if not self.held:
            return
        try:
            self._connection.query("SELECT 1")
        except ServerError as error:
            self._lost(error.message)

    def stop(self) -> None:
        """End the archive; the server removes its file, also where we may not. Harmless when none is held."""
        self.held = False
        # not innodb_redo_log_archive_stop(), which leaves the file
        self._connection.close()

    def _why(self, error: ServerError) -> str:
        if error.details.get("errno") != _ACCESS_DENIED:
            return error.message
        try:
            grant = " ".join(grants_of([PRIVILEGE], quoted_account(self._connection)))
        except ServerError:
            return error.message
        return f"archiving it needs a privilege: {grant}"

    def _lost(self, reason: str) -> None:
        self.reason = reason
        self.stop()
