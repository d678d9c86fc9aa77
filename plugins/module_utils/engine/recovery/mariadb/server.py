# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB in an isolated run: ``mariadbd --bootstrap``.

It starts, applies the redo log, begins to roll back what had not committed, and then runs statements from its standard
input until that ends; then it ends by itself, cleanly. Told to end while it still rolls back, it would leave the rest
to the next start. So it is asked, in SQL, which recovered transactions there still are, until there are none, and only
then its input is closed.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from pathlib import Path
from typing import IO, Callable, TypeVar

from ...errors import FormatError, RecoveryFailed, XtrabackupError
from ...format.file_kinds import DATA_SUFFIX, SCHEMA_CHANGE_PREFIX, TEMPORARY_NAME
from ...format.file_names import decode_name
from ...host.handover import Handover
from ...host.small_files import read_small
from ..program import ServerProgram
from ..recovery_server import ASK_SECONDS, RecoveryServer, RecoverySettings, Scratch
from . import events as mariadb_events
from .aria_counts import AriaCounts, counting, parse_wrong
from .error_log import MariadbRecoveryState, translate

_TABLESPACE_DISCARDED = 1814  # ER_TABLESPACE_DISCARDED
_MAX_ANSWER = 64 << 20  # bytes; that of a million tables
_LIST_END = "0\tend\n"

# recovered transactions: they belong to no connection
_TRANSACTIONS = "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id = 0"

# every table's that has one of its own; then a line that tells that the answer is all there
_TABLESPACES = "SELECT SPACE, NAME FROM information_schema.INNODB_SYS_TABLES WHERE SPACE > 0 UNION ALL SELECT 0, 'end'"

_Parsed = TypeVar("_Parsed")


def command_line(directory: Path, settings: RecoverySettings, program: ServerProgram, scratch: Path) -> list[str]:
    """The server's arguments: isolated, and given all that it would otherwise find in option files.

    What only makes it faster or quieter is ``loose``: a version that does not know it goes on without.
    """
    arguments = {
        "bootstrap": None,
        "datadir": directory,
        "innodb-data-home-dir": directory,
        "innodb-log-group-home-dir": directory,
        "innodb-undo-directory": directory,
        "aria-log-dir-path": directory,
        "tmpdir": scratch,
        "secure-file-priv": scratch,
        "innodb-tmpdir": scratch,
        "innodb-temp-data-file-path": f"{TEMPORARY_NAME}:12M:autoextend",
        "innodb-page-size": settings.page_size,
        "innodb-data-file-path": settings.data_file_path,
        "innodb-undo-tablespaces": settings.undo_tablespaces,
        "innodb-buffer-pool-size": settings.buffer_pool_size,
        "innodb-log-file-size": settings.log_file_size,
        "lower-case-table-names": settings.lower_case_table_names,
        "skip-networking": None,
        "skip-log-bin": None,
        "skip-slave-start": None,
        "event-scheduler": "DISABLED",
        "default-storage-engine": "InnoDB",
        "innodb-force-recovery": 0,
        "innodb-fast-shutdown": 1,
        "innodb-buffer-pool-dump-at-shutdown": 0,
        "innodb-buffer-pool-load-at-startup": 0,
        "log-warnings": 4,
        **({"plugin-load": ";".join(settings.providers)} if settings.providers else {}),
        "loose-performance-schema": 0,
        "loose-feedback": "OFF",
        "loose-innodb-stats-auto-recalc": 0,
        **_page_cache_options(program, disposable=settings.disposable),
        "loose-innodb-doublewrite": 0 if settings.disposable else 1,
        "loose-innodb-flush-log-at-trx-commit": 0,
        "loose-innodb-io-capacity": 20000,
        "loose-innodb-io-capacity-max": 40000,
        "loose-innodb-max-dirty-pages-pct": 90,
        "loose-key-buffer-size": 1 << 20,
        "loose-aria-pagecache-buffer-size": 32 << 20,
        "loose-table-definition-cache": 400,
    }
    options = [f"--{name}" if value is None else f"--{name}={value}" for name, value in arguments.items()]
    return [str(program.path), "--no-defaults", *options]


def _page_cache_options(program: ServerProgram, *, disposable: bool) -> dict[str, str]:
    """Let the server read and write through the page cache: pages that were just copied or unpacked are in it, and
    direct I/O would fetch them from the device. The option has another name since 11.0."""
    if program.series >= (11, 0):
        return {"loose-innodb-data-file-buffering": "ON"}
    return {"loose-innodb-flush-method": "nosync" if disposable else "fsync"}


class MariadbRecoveryServer(RecoveryServer):
    """mariadbd over a directory that was handed over; its answers are files in ``scratch``."""

    def __init__(self, held: Handover, settings: RecoverySettings, program: ServerProgram, scratch: Scratch) -> None:
        self.state = MariadbRecoveryState()
        self._held = held
        self._settings = settings
        self._program = program
        self._scratch = scratch
        self._questions: _Questions | None = None
        self._rolled_back = False
        self._listed_tablespaces = False
        self._ask_at = 0.0
        self._named: dict[int, str] | None = None
        self._doubtful: list[int] = []
        self._counts = AriaCounts(held.own, resumed=settings.resumed)

    def arguments(self) -> list[str]:
        """See ``command_line``."""
        return command_line(self._held.directory, self._settings, self._program, self._scratch.path)

    def attach(self, process: subprocess.Popen[bytes]) -> None:
        """Take its standard input."""
        if process.stdin is None:
            raise RecoveryFailed("the server was started without a pipe")
        self._questions = _Questions(process.stdin, self._scratch)

    @property
    def answers(self) -> bool:
        """Answers come after everything that its start has to say."""
        return self.state.started_lsn is not None

    def has_rolled_back(self) -> bool:
        """Ask which recovered transactions there are; once there are none, for the tablespaces of the dictionary. Then
        count the rows of Aria tables, and disable events, if that is wanted."""
        if self._questions is None:
            return False
        self._rolled_back = self._rolled_back or self._nothing_to_roll_back(self._questions)
        self._listed_tablespaces = self._listed_tablespaces or (
            self._rolled_back and self._has_listed_tablespaces(self._questions)
        )
        if not self._listed_tablespaces or not self._has_counted(self._questions):
            return False
        return not self._settings.disable_events or self._events_are_disabled(self._questions)

    def _nothing_to_roll_back(self, questions: _Questions) -> bool:
        """Returns whether only XA transactions are left, which belong to no connection either."""
        if not questions.waiting and time.monotonic() < self._ask_at:
            return False
        answer = questions.ask(_TRANSACTIONS, lambda text: int(text) if text.endswith("\n") else None)
        if answer is None:
            return False
        self._ask_at = time.monotonic() + ASK_SECONDS
        return answer <= self.state.prepared_transactions

    def _has_listed_tablespaces(self, questions: _Questions) -> bool:
        """Ask for the tablespaces, and of each without a file whether ALTER TABLE ... DISCARD TABLESPACE removed it: to
        read the table tells."""
        if self._named is None:
            self._named = questions.ask(_TABLESPACES, _parse_tablespaces)
            if self._named is None:
                return False
            self._doubtful = [space for space, path in self._named.items() if not (self._held.own / path).exists()]
        while self._doubtful:
            if not questions.waiting:
                questions.tell(_reading(self._named[self._doubtful[0]]))
            number = questions.ask("SELECT @number", lambda text: int(text) if text.endswith("\n") else None)
            if number is None:
                return False
            space = self._doubtful.pop(0)
            if number == _TABLESPACE_DISCARDED:
                del self._named[space]
        self.state.tablespaces = self._named
        return True

    def _has_counted(self, questions: _Questions) -> bool:
        """Have the number of rows of each Aria table that recovery has changed compared with its rows, and repaired."""
        while paths := self._counts.next_paths():
            if not questions.waiting:
                questions.tell("SET @wrong = '';\n")
                for place, path in enumerate(paths):
                    questions.tell(_handled(counting(_table_of(path), place)))
            wrong = questions.ask("SELECT @wrong", parse_wrong)
            if wrong is None:
                return False
            for path in self._counts.counted(wrong):
                questions.tell(f"REPAIR TABLE {_table_of(path, parts=False)};\n")
        return True

    def _events_are_disabled(self, questions: _Questions) -> bool:
        """Note which events are enabled, then tell the server to disable them. That it could not would end it, with an
        error: nothing has to be asked after that."""
        names = questions.ask(mariadb_events.LIST, mariadb_events.parse_list)
        if names is None:
            return False
        self.state.events_disabled = names
        questions.tell(mariadb_events.DISABLE)
        return True

    def end(self) -> None:
        """It ends by itself, at the end of its input."""
        if self._questions is not None:
            self._questions.end_input()

    def error(self, how_it_ended: str) -> XtrabackupError:
        """See ``error_log.translate``."""
        return translate(self.state, how_it_ended)

    def close(self) -> None:
        """There is nothing to close: its input is closed by whoever made it."""


def _literal(text: str) -> str:
    """``text`` as an SQL literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _quoted(name: str) -> str:
    """``name`` as an SQL identifier."""
    return "`" + name.replace("`", "``") + "`"


def _parse_tablespaces(text: str) -> dict[int, str] | None:
    """The path of the data file of each tablespace, by its id; None while the answer is not all there."""
    if not text.endswith(_LIST_END):
        return None
    rows = (line.split("\t", 1) for line in text.splitlines())
    return {
        int(space): f"{name}{DATA_SUFFIX}"
        for space, name in rows
        if int(space) and f"/{SCHEMA_CHANGE_PREFIX}" not in name
    }


def _reading(path: str) -> str:
    """A statement that reads from the table whose data file is ``path``, and puts the number of the error, 0 for none,
    into ``@number``. An error that nobody handles would end the server."""
    return _handled(f"SELECT 1 INTO @one FROM {_table_of(path[: -len(DATA_SUFFIX)])} LIMIT 1")  # noqa: S608


def _handled(statement: str) -> str:
    """``statement``; the number of its error, 0 for none, is in ``@number`` then."""
    return (
        "BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR SQLEXCEPTION GET DIAGNOSTICS CONDITION 1 @number = MYSQL_ERRNO; "
        f"SET @number = 0; EXECUTE IMMEDIATE {_literal(statement)}; END;\n"
    )


def _table_of(path: str, *, parts: bool = True) -> str:
    """The table whose file is ``path`` (without suffix), in SQL; with ``parts`` its partition, if it is one's."""
    database, _slash, name = path.partition("/")
    table, *partition = re.split("#(?:P|SP)#", name, flags=re.IGNORECASE)
    quoted = f"{_quoted(decode_name(database))}.{_quoted(decode_name(table))}"
    return f"{quoted} PARTITION ({_quoted(decode_name(partition[-1]))})" if partition and parts else quoted


class _Questions:
    """Statements and queries for the server, through its standard input; each answer is a new file in ``scratch``."""

    def __init__(self, stdin: IO[bytes], scratch: Scratch) -> None:
        self._stdin = stdin
        self._scratch = scratch
        self._asked = 0
        self._answer = ""

    @property
    def waiting(self) -> bool:
        """Returns whether a question has no answer yet."""
        return bool(self._answer)

    def ask(self, question: str, parse: Callable[[str], _Parsed | None]) -> _Parsed | None:
        """The answer, None while there is none; asks if no question waits. ``question`` is a SELECT, ``parse`` returns
        None for an answer that is not all there. Raises RecoveryFailed for what is none."""
        if not self._answer:
            self._asked += 1
            self._answer = f"answer.{self._asked}"
            self.tell(f"{question} INTO OUTFILE {_literal(str(self._scratch.path / self._answer))};\n")
            return None
        try:
            answer = read_small(self._scratch.own / self._answer, _MAX_ANSWER).data
            parsed = parse(answer.decode("utf-8", "surrogateescape"))
        except FileNotFoundError:
            return None
        except (FormatError, ValueError) as error:
            raise RecoveryFailed(f"the server's answer to {question!r} cannot be understood: {error}") from error
        if parsed is not None:
            self._answer = ""
        return parsed

    def tell(self, statement: str) -> None:
        """Let the server run ``statement``; one that is gone tells why in its log."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.write(statement.encode("utf-8", "surrogateescape"))
            self._stdin.flush()

    def end_input(self) -> None:
        """Nothing more will be asked: the server may end."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
