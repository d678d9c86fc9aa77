# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MySQL's locks for backups, none of which may make the site wait for longer than its deadline.

What was found on 9.7, and is why this looks as it does:

* LOCK INSTANCE FOR BACKUP waits only for schema changes that have begun; new ones wait for us. Queries and transactions
  are in nobody's way.
* FLUSH TABLES WITH READ LOCK waits for every running query, and when it is given up, queries of the tables that were in
  use go on hanging until the longest of the old ones ends. While the instance is locked it also makes schema changes
  that wait there fail with a deadlock. So only the non-transactional tables are locked, by LOCK TABLES ... WRITE, which
  leaves nothing behind when it is given up; then FLUSH TABLES has their files complete and closed.
* UNLOCK TABLES after LOCK TABLES (or FLUSH TABLES t WITH READ LOCK) silently releases LOCK INSTANCE FOR BACKUP of the
  same session. So tables are locked by a session of their own. FLUSH TABLES t WITH READ LOCK would not be granted
  there: it takes part in the backup lock.
* LOCK TABLES FOR BACKUP of Percona Server stops the same writes, but leaves the files open; what is done for MySQL is
  right there too.
* A read-only server refuses LOCK TABLES ... WRITE; there FLUSH TABLES t WITH READ LOCK is what remains, in the session
  of the instance lock, once nobody uses the tables.
* Tables that cannot be opened (files that are missing or damaged, a MERGE of tables that are gone, more files than the
  server may open), or of which a trigger writes to InnoDB while GTIDs are enforced, can be locked by neither. Of what
  else there is only FLUSH TABLES WITH READ LOCK opens no table: it is taken then, in a session of its own, at a moment
  in which no statement has been running for long. It waits for schema changes that wait for the instance lock; so where
  there are such, the backup is given up at once, for their sake.
* LOCK TABLES opens the files of all its tables. When the server reaches its limit of open files meanwhile, InnoDB ends
  the server as soon as it cannot open a file of its own ("Cannot continue operation", 9.7). So they are counted first.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Collection, Sequence
from functools import partial
from typing import Callable, TypeVar

from ...errors import ConnectionFailed, LockTimeout, MissingPrivilege, ServerError, XtrabackupError
from ...units import some_of
from ..blockers import Blocker, describe, shortened
from ..connection import Connection
from ..deadline import DeadlineGuard, FindBlockers, WaitGuard, is_timeout, milliseconds
from ..privileges import missing_privileges, quoted_account
from .blockers import (
    dictionary_blockers,
    global_blockers,
    instance_blockers,
    long_statements,
    table_blockers,
    waiting_schema_changes,
)
from .user_tables import UserTable, broken_tables, non_transactional_tables

_log = logging.getLogger(__name__)

__all__ = ("MysqlLocks", "missing_table_privileges", "non_transactional_tables", "require_table_privileges")

INSTANCE, TABLES, DICTIONARY = "instance", "tables", "dictionary"

_Read = TypeVar("_Read")

_ACCESS_DENIED = (1044, 1142)  # ER_DBACCESS_DENIED_ERROR, ER_TABLEACCESS_DENIED_ERROR
_READ_ONLY = 1290  # ER_OPTION_PREVENTS_STATEMENT
_LOCK_DEADLOCK = 1213  # ER_LOCK_DEADLOCK
_POLL = 0.1  # seconds between two looks whether tables are in use
_LATER = 5  # seconds
_READING = "reading information_schema.INNODB_INDEXES"
_PACKET_MARGIN = 64  # bytes of a packet that are not the statement's
_GLOBAL_LOCK = "FLUSH TABLES WITH READ LOCK"
_FILES_OF_A_TABLE = 2  # that MyISAM opens: index and data
_SPARE_FILES = 100  # that the server itself may open while the tables are locked; at least a tenth of what it may open
_LONG_SECONDS = 2  # a statement that has run for so long may go on for ever


class MysqlLocks:
    """The backup locks of one server; a context manager whose end always releases them.

    ``connection`` holds the instance lock and must never run UNLOCK TABLES itself. ``open_second`` opens further ones:
    one that holds the tables, those that name the blockers and end a wait. ``deadline`` is seconds to wait for each
    lock. ``times_ms`` holds how long each was held (``instance``, ``tables``) and waited for (``instance_wait``,
    ``tables_wait``). ``own`` are ids of all sessions of this backup, also of those that are still to come: they are in
    nobody's way. ``warnings`` gets what is to be known afterwards.
    """

    def __init__(
        self,
        connection: Connection,
        open_second: Callable[[], Connection],
        deadline: float,
        own: Collection[int] = (),
        warnings: list[str] | None = None,
    ) -> None:
        self._connection = connection
        self._open_second = open_second
        self._deadline = deadline
        self._own = own
        self._warnings = warnings if warnings is not None else []
        self._since: dict[str, float] = {}
        self._table_session: Connection | None = None
        self.times_ms: dict[str, float] = {}

    def __enter__(self) -> MysqlLocks:
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        if kind is None:
            self.end()
        else:
            self._release()

    @property
    def held(self) -> tuple[str, ...]:
        """The locks that are held: ``instance``, ``tables``."""
        return tuple(self._since)

    def lock_instance(self, deadline: float | None = None) -> None:
        """Block schema changes. Raises LockTimeout."""
        self._wait(INSTANCE, self._connection, "LOCK INSTANCE FOR BACKUP", instance_blockers, deadline)

    def reading(self, read: Callable[[], _Read]) -> _Read:
        """Returns what ``read`` reads from InnoDB's dictionary through the connection: there it waits for schema
        changes that are at work on a table, or that wait themselves. Raises LockTimeout when it waits for longer than
        the deadline.
        """
        session = self._connection.thread_id
        # a bound of the server's own, somewhat later
        self._connection.execute(f"SET SESSION lock_wait_timeout = {math.ceil(self._deadline) + _LATER}")
        _log.info("reading the dictionary, %g s of waiting at most", self._deadline)
        asked = time.monotonic()
        guard = WaitGuard(
            session,
            self._open_second,
            self._deadline,
            lambda other, ids: dictionary_blockers(other, {*ids, *self._own}, session),
        )
        try:
            with guard:
                return read()
        except ServerError as error:
            if not (is_timeout(error) or guard.fired):
                raise
            self._release()
            waited = time.monotonic() - asked
            raise _timeout(DICTIONARY, _READING, self._deadline, waited, guard.found()) from error

    def lock_tables(self, tables: Sequence[UserTable] | None = None, deadline: float | None = None) -> None:
        """Block writes to the non-transactional ``tables`` (default: all of them), their files complete and closed.

        Reads of them wait too, except on a read-only server. Where they cannot be locked one by one, all writes are
        blocked. The instance must be locked, or there may be new ones. Raises LockTimeout, and MissingPrivilege when
        the account may not lock or read a table.
        """
        chosen = non_transactional_tables(self._connection) if tables is None else list(tables)
        if not chosen:
            return
        seconds = self._deadline if deadline is None else deadline
        try:
            self._lock_tables(chosen, seconds)
        except (LockTimeout, ConnectionFailed):
            raise
        except ServerError as error:
            if error.details.get("errno") in _ACCESS_DENIED:
                raise missing_table_privileges(self._connection, chosen) from error
            _log.info("tables cannot be locked by themselves, so all writes are: %s", error)
            self._lock_all_writes(error, seconds)

    def _lock_tables(self, chosen: Sequence[UserTable], deadline: float) -> None:
        """Lock ``chosen`` and nothing else; raises ServerError when the server cannot."""
        names = ", ".join(table.quoted for table in chosen)
        statement = "LOCK TABLES " + ", ".join(f"{table.quoted} WRITE" for table in chosen)
        longest = int(self._connection.variables("max_allowed_packet")["max_allowed_packet"])
        if len(statement.encode("utf-8", "surrogateescape")) + _PACKET_MARGIN > longest:
            raise ServerError(
                f"max_allowed_packet ({longest} bytes) is too small for the names of {len(chosen)} tables"
            )
        self._require_open_files(len(chosen))
        try:
            self._lock_in_own_session(statement, names, chosen, deadline)
        except ServerError as error:
            if error.details.get("errno") != _READ_ONLY:
                raise
            self._lock_on_read_only_server(names, chosen, deadline)

    def _require_open_files(self, tables: int) -> None:
        """Raises ServerError when the server may not open the files of so many ``tables`` beside those it has open."""
        limit = int(self._connection.variables("open_files_limit")["open_files_limit"])
        counts = self._connection.status("Open_files", "Innodb_num_open_files")
        in_use = sum(int(count) for count in counts.values())
        if tables * _FILES_OF_A_TABLE + in_use + max(_SPARE_FILES, limit // 10) > limit:
            raise ServerError(
                f"open_files_limit ({limit}, of which {in_use} are in use) is too small to open {tables} tables at once"
            )

    def _lock_all_writes(self, reason: ServerError, deadline: float) -> None:
        """FLUSH TABLES WITH READ LOCK, begun only when no statement has been running for long.

        If it had to be given up, queries would hang until the longest one ends.
        """
        asked = time.monotonic()
        self._table_session = session = self._open_second()
        try:
            self._wait_for_a_quiet_moment(reason, deadline)
            left = max(1.0, deadline - (time.monotonic() - asked))
            self._wait(TABLES, session, _GLOBAL_LOCK, global_blockers, left)
        except BaseException:
            self._table_session = None
            session.close()
            self._note_released(TABLES)
            raise
        self.times_ms[f"{TABLES}_wait"] = milliseconds(time.monotonic() - asked)
        self._warnings.append(
            "tables that are not InnoDB's could not be locked by themselves, so all writes had to wait (FLUSH TABLES "
            f"WITH READ LOCK) until these were copied: {self._why(reason)}"
        )

    def _wait_for_a_quiet_moment(self, reason: ServerError, deadline: float) -> None:
        """Return when no statement has been running for long; raises LockTimeout."""
        asked = time.monotonic()
        while True:
            own = {*self._own, self._connection.thread_id}
            waited = time.monotonic() - asked
            changes = waiting_schema_changes(self._connection, own)
            if changes:
                why = self._why(reason)
                self._release()
                error = _timeout(TABLES, _GLOBAL_LOCK, deadline, waited, changes)
                error.remedy = (
                    "These schema changes waited for the backup, and it would have had to wait for them, because "
                    f"tables could not be locked by themselves: {why}. Repair, convert or drop these tables, or take "
                    "the backup while no schema is changed."
                )
                raise error
            busy = long_statements(self._connection, own, _LONG_SECONDS)
            if not busy:
                return
            if waited > deadline:
                self._release()
                raise _timeout(TABLES, _GLOBAL_LOCK, deadline, waited, busy)
            time.sleep(_POLL)

    def _why(self, reason: ServerError) -> str:
        """Why tables could not be locked, and which of them are broken."""
        broken = broken_tables(self._connection)
        return shortened(reason.message) + (f" (broken: {some_of(broken)})" if broken else "")

    def unlock_tables(self) -> None:
        """Let the tables go, if they are locked. On a read-only server they stay locked until the end, for there the
        instance lock would go with them. Raises ServerError when the lock turns out to be lost."""
        if self._table_session is None:
            return
        session, self._table_session = self._table_session, None
        try:
            session.execute("UNLOCK TABLES")
        finally:
            session.close()
            self._note_released(TABLES)

    def end(self) -> None:
        """Release every lock. Nothing happens when none is held.

        Raises ServerError when the locks turn out to be lost: then nobody knows what changed in the meantime.
        """
        try:
            self.unlock_tables()
            if TABLES in self._since:
                self._connection.execute("UNLOCK TABLES")
            if INSTANCE in self._since:
                self._connection.execute("UNLOCK INSTANCE")
        except ServerError:
            # a session that cannot release its locks is ended: the server releases them with it
            self._connection.close()
            raise
        finally:
            self._note_released(TABLES)
            self._note_released(INSTANCE)

    # --- inside --------------------------------------------------------------------------------------

    def _lock_in_own_session(
        self, statement: str, names: str, tables: Sequence[UserTable], deadline: float | None
    ) -> None:
        self._table_session = session = self._open_second()
        find = partial(table_blockers, tables=tables)
        try:
            self._wait(TABLES, session, statement, find, deadline)
            # nobody has them open but for HANDLER statements
            self._run(TABLES, session, f"FLUSH NO_WRITE_TO_BINLOG TABLES {names}", find, deadline)
        except BaseException:
            self._table_session = None
            session.close()
            self._note_released(TABLES)
            raise

    def _lock_on_read_only_server(self, names: str, tables: Sequence[UserTable], deadline: float) -> None:
        """FLUSH TABLES t WITH READ LOCK, begun only when it need not wait for a query.

        If it had to be given up, queries of such a table would hang until the longest one ends.
        """
        find = partial(table_blockers, tables=tables)
        asked = time.monotonic()
        wanted = {(table.schema, table.name) for table in tables}
        while any(
            (str(row["Database"]), str(row["Table"])) in wanted
            for row in self._connection.query("SHOW OPEN TABLES WHERE In_use > 0")
        ):
            if time.monotonic() - asked > deadline:
                blockers = find(self._connection, {self._connection.thread_id, *self._own})
                self._release()
                raise _timeout(TABLES, "FLUSH TABLES ... WITH READ LOCK", deadline, time.monotonic() - asked, blockers)
            time.sleep(_POLL)
        left = max(1.0, deadline - (time.monotonic() - asked))
        self._wait(TABLES, self._connection, f"FLUSH TABLES {names} WITH READ LOCK", find, left)
        self.times_ms[f"{TABLES}_wait"] = milliseconds(time.monotonic() - asked)

    def _wait(self, name: str, session: Connection, statement: str, find: FindBlockers, deadline: float | None) -> None:
        """Run ``statement`` on ``session``, and know the lock ``name`` as held once it is granted."""
        _log.info("lock %s asked for in session %s", name, session.thread_id)
        asked = time.monotonic()
        self._run(name, session, statement, find, deadline)
        self._since[name] = time.monotonic()
        self.times_ms[f"{name}_wait"] = milliseconds(self._since[name] - asked)
        _log.info("lock %s granted after %.1f ms", name, self.times_ms[f"{name}_wait"])

    def _run(self, name: str, session: Connection, statement: str, find: FindBlockers, deadline: float | None) -> None:
        """Run a ``statement`` that may wait. When it may not have what it wants in time, everything is released."""
        seconds = self._deadline if deadline is None else deadline
        session.execute(f"SET SESSION lock_wait_timeout = {max(1, math.ceil(seconds))}")
        asked = time.monotonic()
        own = {self._connection.thread_id, session.thread_id}
        guard = DeadlineGuard(
            session.thread_id, self._open_second, seconds, lambda other, ids: find(other, {*ids, *own, *self._own})
        )
        failure: ServerError | None = None
        try:
            with guard:
                self._execute(session, statement, asked + seconds)
        except ConnectionFailed as error:
            failure = error
        except ServerError as error:
            if not (is_timeout(error) or guard.fired):
                # nothing was locked; what is held already is still of use
                raise
            failure = error
        except BaseException:
            # stopped while the server still waits; it would not notice that the session is gone
            self._kill(session)
            self._release()
            raise
        if failure is None:
            if not guard.fired:
                return
            # granted so late that the order to stop crossed it: too late is not granted
            self._since.setdefault(name, time.monotonic())
        self._release()
        if failure is None or is_timeout(failure) or guard.fired:
            raise _timeout(name, statement, seconds, time.monotonic() - asked, guard.found()) from failure
        raise failure

    def _execute(self, session: Connection, statement: str, until: float) -> None:
        """A deadlock is nobody's fault: the other one goes on, and we ask again."""
        while True:
            try:
                session.execute(statement)
                return
            except ServerError as error:
                if error.details.get("errno") != _LOCK_DEADLOCK or time.monotonic() > until:
                    raise
            time.sleep(_POLL)

    def _kill(self, session: Connection) -> None:
        with contextlib.suppress(XtrabackupError), self._open_second() as second:
            second.execute(f"KILL {session.thread_id}")
        session.close()

    def _note_released(self, name: str) -> None:
        since = self._since.pop(name, None)
        if since is not None:
            self.times_ms[name] = milliseconds(time.monotonic() - since)
            _log.info("lock %s released, held for %.1f ms", name, self.times_ms[name])

    def _release(self) -> None:
        """Release without a word: an error is on its way already."""
        try:
            self.end()
        except XtrabackupError:
            self._connection.close()


def require_table_privileges(connection: Connection) -> None:
    """Raises MissingPrivilege when there are non-transactional tables that the account may not lock, before anything
    is copied.

    An account that has what it needs globally is believed. Of another one, a table of each schema is locked for
    reading and let go at once; one that is in use is left to the lock itself.
    """
    tables = {table.schema: table for table in non_transactional_tables(connection)}
    if not tables or not missing_privileges(connection, ["LOCK TABLES", "SELECT"]):
        return
    connection.execute("SET SESSION lock_wait_timeout = 1")
    for table in tables.values():
        try:
            connection.execute(f"LOCK TABLES {table.quoted} READ LOCAL")
        except ServerError as error:
            if error.details.get("errno") in _ACCESS_DENIED:
                raise missing_table_privileges(connection, list(tables.values())) from error
            # in use, or such as can be locked only by blocking all writes
            if isinstance(error, ConnectionFailed):
                raise
        finally:
            connection.execute("UNLOCK TABLES")


def missing_table_privileges(connection: Connection, tables: Collection[UserTable]) -> MissingPrivilege:
    """The error of an account that may not lock ``tables``, with the GRANTs that let it."""
    account = quoted_account(connection)
    grants = [f"GRANT LOCK TABLES ON *.* TO {account};"]
    grants += [f"GRANT SELECT ON {table.quoted} TO {account};" for table in tables]
    shown = " ".join(grants[:6]) + (f" and so on for {len(tables) - 5} more tables" if len(grants) > 6 else "")
    return MissingPrivilege(
        f"the account {account} cannot lock tables that are not InnoDB's before {shown} is run",
        remedy="Run these statements as an administrator, or convert the tables: ALTER TABLE ... ENGINE = InnoDB;",
        account=account,
        missing=["LOCK TABLES", "SELECT"],
        tables=[str(table) for table in tables],
        grant=" ".join(grants),
        grants=grants,
    )


def _timeout(name: str, statement: str, deadline: float, waited: float, blockers: list[Blocker]) -> LockTimeout:
    shown = shortened(statement, 100)
    names = "; ".join(describe(blocker) for blocker in blockers[:5]) or "no session could be found"
    return LockTimeout(
        f"{shown} was not granted within {deadline:g} s and was given up; in the way: {names}",
        stage=name,
        deadline=deadline,
        waited=round(waited, 3),
        blockers=[blocker.as_dict() for blocker in blockers],
    )
