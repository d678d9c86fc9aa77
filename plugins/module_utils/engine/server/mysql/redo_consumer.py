# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registered consumer of a MySQL server's redo log: the server keeps what the backup has not read yet.

A server whose log is full waits for its consumer, and so do all its clients. The hold is therefore a lease: it ends
with the session, and the server ends a session that is silent for its wait_timeout. A backup that is stopped, blocked
or cut off holds up its server for ``lease`` seconds at most; the server then goes on without it.
"""

from __future__ import annotations

from ...errors import ServerError
from ..connection import Connection

DEFAULT_LEASE = 10  # seconds

_REGISTER = "SELECT innodb_redo_log_consumer_register({name}) AS status"
_WRONG_ARGUMENTS = 1123  # ER_CANT_INITIALIZE_UDF: the number of arguments, too
_NAME = "'xtrabackup'"


class RedoConsumer:
    """Registered while the ``with`` block lasts, if the server lets us: ``held`` says so, ``reason`` why not.

    ``connection`` must be of its own: its session is the registration, and no one else may use it. Nothing here raises
    for a hold that cannot be had or is lost: the follower proves by itself that nothing was missed. Register before the
    follower looks for the checkpoint it starts at; give ``advance`` to it as ``on_progress``.
    """

    def __init__(self, connection: Connection, lease: int = DEFAULT_LEASE) -> None:
        self._connection = connection
        self._lease = lease
        self._advanced = 0
        self.held = False
        self.reason = ""

    def __enter__(self) -> RedoConsumer:
        self.register()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.unregister()

    def register(self) -> None:
        """Ask the server to keep its log from its newest checkpoint on."""
        try:
            status = self._call_register()
            if status == 0:
                self.held = True
                self._connection.execute(f"SET SESSION wait_timeout = {self._lease}")
            else:
                # there is one place for a consumer in a server
                self.reason = "another consumer of the redo log is registered"
        except ServerError as error:
            self._lost(error)

    def _call_register(self) -> object:
        """0: registered. Anything else: not."""
        try:
            return self._connection.scalar(_REGISTER.format(name=""))
        except ServerError as error:
            if error.details.get("errno") != _WRONG_ARGUMENTS:
                raise
            # Percona Server wants a name here, and only here
            return self._connection.scalar(_REGISTER.format(name=_NAME))

    def advance(self, lsn: int) -> None:
        """All before ``lsn`` was read. Call it at least three times in a lease, also when nothing is new."""
        if not self.held:
            return
        try:
            if lsn > self._advanced:
                # refused is what lies before the server's own checkpoint: nothing to let go of, but a sign of life
                self._connection.query(f"SELECT innodb_redo_log_consumer_advance({int(lsn)})")
                self._advanced = lsn
            else:
                self._connection.query("SELECT 1")
        except ServerError as error:
            self._lost(error)

    def unregister(self) -> None:
        """Let the server recycle its log again. Harmless when nothing is held."""
        if not self.held:
            return
        self.held = False
        try:
            self._connection.query("SELECT innodb_redo_log_consumer_unregister()")
        except ServerError as error:
            self._lost(error)

    def _lost(self, error: ServerError) -> None:
        self.held = False
        self.reason = error.message
        # whatever the session still holds must not hold up the server
        self._connection.close()
