# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB in a sealed run: ``mariadbd --bootstrap``.

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
from collections.abc import Generator
from pathlib import Path
from typing import IO

from ..errors import RecoveryFailed, XtrabackupError
from ..file_names import decode_name
from .program import ServerProgram
from .sealed import ASK_SECONDS, RecoverySettings, Sealed
from .server_log import RecoveryState, translate

_TABLESPACE_DISCARDED = 1814  # ER_TABLESPACE_DISCARDED
_LIST_END = "end"


def command_line(
    directory: Path, settings: RecoverySettings, program: ServerProgram, scratch: Path, *, as_root: bool
) -> list[str]:
    """The server's arguments: sealed, and told all that it would otherwise find in option files.

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
        "innodb-temp-data-file-path": "ibtmp1:12M:autoextend",
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
    if as_root:
        options.append("--user=root")  # it refuses to run as root unless told so
    return [str(program.path), "--no-defaults", *options]


def _page_cache_options(program: ServerProgram, *, disposable: bool) -> dict[str, str]:
    """Let the server read and write through the page cache: pages that were just copied or unpacked are in it, and
    direct I/O would fetch them from the device. The option has another name since 11.0."""
    if program.series >= (11, 0):
        return {"loose-innodb-data-file-buffering": "ON"}
    return {"loose-innodb-flush-method": "nosync" if disposable else "fsync"}


class SealedMariadb(Sealed):
    """mariadbd over ``directory``; its answers are files in ``scratch``."""

    def __init__(self, directory: Path, settings: RecoverySettings, program: ServerProgram, scratch: Path) -> None:
        self.state = RecoveryState()
        self._directory = directory
        self._settings = settings
        self._program = program
        self._scratch = scratch
        self._interview: _Interview | None = None

    def arguments(self, *, as_root: bool) -> list[str]:
        """See ``command_line``."""
        return command_line(self._directory, self._settings, self._program, self._scratch, as_root=as_root)

    def attach(self, process: subprocess.Popen[bytes]) -> None:
        """Take its standard input."""
        if process.stdin is None:
            raise RecoveryFailed("the server was started without a pipe")
        self._interview = _Interview(process.stdin, self._directory, self._scratch, self.state)

    @property
    def answers(self) -> bool:
        """Answers come after everything that its start has to say."""
        return self.state.started_lsn is not None

    def has_rolled_back(self) -> bool:
        """Ask which recovered transactions there are, and once there are none, which tablespaces."""
        return self._interview is not None and self._interview.is_done()

    def end(self) -> None:
        """It ends by itself, at the end of its input."""
        if self._interview is not None:
            self._interview.end_input()

    def error(self, how_it_ended: str) -> XtrabackupError:
        """See ``server_log.translate``."""
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


def _table_in(path: str) -> str:
    """The table, or its partition, whose data file is ``path``, in SQL."""
    database, _slash, name = path[: -len(".ibd")].partition("/")
    table, *parts = re.split("#(?:P|SP)#", name, flags=re.IGNORECASE)
    quoted = f"{_quoted(decode_name(database))}.{_quoted(decode_name(table))}"
    return f"{quoted} PARTITION ({_quoted(decode_name(parts[-1]))})" if parts else quoted


class _Interview:
    """Asks the server, statement by statement; its answers are files in ``scratch``.

    First which recovered transactions there are (they belong to no connection), until only the prepared ones are left.
    Then which tablespaces its dictionary names.
    """

    def __init__(self, stdin: IO[bytes], directory: Path, scratch: Path, state: RecoveryState) -> None:
        self._stdin = stdin
        self._directory = directory
        self._scratch = scratch
        self._state = state
        self._asked = 0
        self._ask_at = 0.0
        self._steps = self._ask_all()
        self._done = False

    def is_done(self) -> bool:
        """Whether everything was answered; goes on when there is an answer, and never waits for one."""
        if not self._done and time.monotonic() >= self._ask_at:
            self._done = next(self._steps, True) is True
        return self._done

    def end_input(self) -> None:
        """Nothing more will be asked: the server may end."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()

    def _ask_all(self) -> Generator[None, None, None]:
        while True:
            text = yield from self._ask(
                "SELECT COUNT(*) {into} FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id = 0"
            )
            if int(text) <= self._state.prepared_transactions:
                break
            self._ask_at = time.monotonic() + ASK_SECONDS
            yield
        listing = "SELECT SPACE, NAME FROM information_schema.INNODB_SYS_TABLES WHERE SPACE > 0 UNION ALL SELECT {end}"
        text = yield from self._ask(listing.format(end=f"0, {_literal(_LIST_END)} {{into}}"), f"0\t{_LIST_END}\n")
        rows = (line.split("\t", 1) for line in text.splitlines())
        named = {int(space): f"{name}.ibd" for space, name in rows if int(space) and "/#sql" not in name}
        for space, path in list(named.items()):
            if not (self._directory / path).exists() and (yield from self._is_discarded(path)):
                del named[space]
        self._state.tablespaces = named

    def _is_discarded(self, path: str) -> Generator[None, None, bool]:
        """Whether ALTER TABLE ... DISCARD TABLESPACE has removed the file of a table: reading it tells."""
        reading = f"SELECT 1 INTO @one FROM {_table_in(path)} LIMIT 1"  # noqa: S608
        text = yield from self._ask(
            "BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR SQLEXCEPTION "
            "GET DIAGNOSTICS CONDITION 1 @number = MYSQL_ERRNO; "
            f"SET @number = 0; EXECUTE IMMEDIATE {_literal(reading)}; SELECT @number {{into}}; END"
        )
        return int(text.split()[0]) == _TABLESPACE_DISCARDED

    def _ask(self, statement: str, end: str = "\n") -> Generator[None, None, str]:
        """The answer to ``statement``, in which ``{into}`` is where it goes; ``end`` is how it ends."""
        self._asked += 1
        answer = self._scratch / f"answer.{self._asked}"
        text = statement.replace("{into}", f"INTO OUTFILE {_literal(str(answer))}")
        # a server that is gone tells why in its log
        with contextlib.suppress(BrokenPipeError):
            self._stdin.write(f"{text};\n".encode("utf-8", "surrogateescape"))
            self._stdin.flush()
        while True:
            yield
            with contextlib.suppress(FileNotFoundError):
                found = answer.read_text(encoding="utf-8", errors="surrogateescape")
                if found.endswith(end):
                    return found
