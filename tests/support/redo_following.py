# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redo logs of either family that are followed while their servers write, and their recovery by another server."""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql.redo_follower import (
    MysqlRedoFollower,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mariadb import redo, redo_10_8
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mariadb import (
    redo_format as mariadb_format,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql import (
    redo_8_0_30,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql import (
    redo_format as mysql_format,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.redo_logfile import inspect_logfile
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.redo_status import RedoStatus

from . import mariadb_redo, mysql_redo
from .load import WriteLoad
from .mysql_redo import MIB
from .servers import DatabaseServer, OptionValue

Options = dict[str, "OptionValue | bool"]


@dataclass(frozen=True)
class Instant:
    """Where a copy ends: ``lsn`` of the log; what tells its transactions, GTIDs or the newest entry of the load."""

    lsn: int
    transactions: Any


class RedoFollowing:
    """How the log of one family is followed and recovered; families are subclasses."""

    family: ClassVar[Family]
    size_option: ClassVar[str]
    options: ClassVar[Options] = {}  # that make a log go round
    small: ClassVar[str]  # a size of it
    restored: ClassVar[Options] = {}  # of the server that recovers
    one_lap: ClassVar[int]  # bytes after which such a log holds nothing of what it held
    read_late: ClassVar[int]  # bytes that a follower may copy though it is held still
    threads: ClassVar[int]  # of the load
    killed_after: ClassVar[int]  # transactions
    checkpoint_words: ClassVar[str]  # of a server's recovery

    def sized(self, size: str, **more: OptionValue | bool) -> Options:
        """The options of a server with a log of that size."""
        return {**self.options, self.size_option: size, **more}

    def following(self, server: Any, path: Path, **options: Any) -> contextlib.AbstractContextManager[Any]:
        """A copy of the log of ``server`` that has begun."""
        raise NotImplementedError

    def copy_to_instant(self, copy: Any, datadir: Path, size: int, load: WriteLoad) -> Instant:
        """Copy the data files and at least ``size`` bytes of the log, which ends at the instant."""
        raise NotImplementedError

    def transactions(self, server: DatabaseServer) -> Any:
        """What a recovered server has, as an Instant has it."""
        raise NotImplementedError

    def lsn(self, server: DatabaseServer) -> int:
        """The newest LSN of ``server``."""
        raise NotImplementedError

    def require_whole(self, log: Path, copy: Any, end_lsn: int) -> None:
        """The file has what the follower says that it has copied, from its checkpoint to ``end_lsn``."""
        raise NotImplementedError

    def recover(self, server: Any, log: Path) -> None:
        """Start ``server``, which has data files, on the copied log."""
        raise NotImplementedError

    def recovered_to(self, server: Any) -> int:
        """The LSN that the server's recovery ended at, by its own words."""
        raise NotImplementedError

    def end_of_dead_log(self, server: Any, workdir: Path) -> tuple[int, int]:
        """The LSNs of the checkpoint and of the end of the log of a server that was killed."""
        raise NotImplementedError

    def require_clean_end(self, server: Any) -> None:
        """The log of ``server``, which was shut down, ends where its checkpoint says."""


class MariaDBRedoFollowing(RedoFollowing):
    family = Family.MARIADB
    size_option = "innodb_log_file_size"
    options: ClassVar[Options] = {"innodb_max_dirty_pages_pct": 10}  # checkpoints advance
    small = "4M"
    one_lap = 12 * MIB
    read_late = 0
    threads = 8
    killed_after = 1500
    checkpoint_words = "recovery from checkpoint LSN={}"

    def following(self, server: Any, path: Path, **options: Any) -> contextlib.AbstractContextManager[Any]:
        return mariadb_redo.following(server, path)

    def copy_to_instant(self, copy: Any, datadir: Path, size: int, load: WriteLoad) -> Instant:
        with copy.server.session() as session, session.cursor() as cursor:
            cursor.execute("BACKUP STAGE START")
            mariadb_redo.copy_data(copy.server, datadir)
            mysql_redo.wait_for(lambda: bool(copy.has_copied(size)), 120)
            for stage in ("FLUSH", "BLOCK_DDL", "BLOCK_COMMIT"):
                cursor.execute(f"BACKUP STAGE {stage}")
            entries = load.ledger_entries()
            _target, last_lsn = copy.finish()
            cursor.execute("BACKUP STAGE END")
        return Instant(last_lsn, entries)

    def transactions(self, server: DatabaseServer) -> Any:
        return server.value("SELECT COALESCE(MAX(id), 0) FROM load_test.ledger")

    def lsn(self, server: DatabaseServer) -> int:
        return int(server.status("Innodb_lsn_current"))

    def require_whole(self, log: Path, copy: Any, end_lsn: int) -> None:
        data = log.read_bytes()
        header = redo.parse_header(data, len(data), "copied")
        walked = redo_10_8.walk(bytearray(data[mariadb_format.START_OFFSET :]), header.first_lsn, header)
        assert walked.size == copy.follower.copied_bytes == len(data) - mariadb_format.START_OFFSET
        assert end_lsn == copy.follower.checkpoint_lsn + walked.size

    def recover(self, server: Any, log: Path) -> None:
        shutil.copyfile(log, server.datadir / "ib_logfile0")
        server.start()

    def recovered_to(self, server: Any) -> int:
        return mariadb_redo.end_of_log(server)

    def end_of_dead_log(self, server: Any, workdir: Path) -> tuple[int, int]:
        return mariadb_redo.walk_to_the_end(server.datadir / "ib_logfile0")

    def require_clean_end(self, server: Any) -> None:
        checkpoint_lsn, end_lsn = mariadb_redo.walk_to_the_end(server.datadir / "ib_logfile0")
        assert end_lsn == checkpoint_lsn + redo_10_8.FILE_CHECKPOINT_MTR_SIZE
        assert f"log sequence number {end_lsn}" in server.log_text()


class MySQLRedoFollowing(RedoFollowing):
    family = Family.MYSQL
    size_option = "innodb_redo_log_capacity"
    options: ClassVar[Options] = {"log_error_verbosity": 3}  # the log tells where recovery begins
    small = "8M"
    restored: ClassVar[Options] = {"innodb_redo_log_capacity": "8M"}
    one_lap = 24 * MIB
    read_late = 4 * MIB
    threads = 2
    killed_after = 1000
    checkpoint_words = "The latest found checkpoint is at lsn = {} "

    def following(self, server: Any, path: Path, **options: Any) -> contextlib.AbstractContextManager[Any]:
        return mysql_redo.following(server, path, **options)

    def copy_to_instant(self, copy: Any, datadir: Path, size: int, load: WriteLoad) -> Instant:
        held = copy.consumer.held
        mysql_redo.copy_data(copy.server, datadir)
        mysql_redo.wait_for(lambda: bool(copy.has_copied(size)), 120)
        target, gtids = copy.finish()
        assert copy.follower.newest_checkpoint().lsn >= copy.follower.checkpoint_lsn
        assert copy.consumer.held is held
        return Instant(target, gtids)

    def transactions(self, server: DatabaseServer) -> Any:
        return server.value("SELECT @@gtid_executed").replace("\n", "")

    def lsn(self, server: DatabaseServer) -> int:
        return int(server.status("Innodb_redo_log_current_lsn"))

    def require_whole(self, log: Path, copy: Any, end_lsn: int) -> None:
        summary = inspect_logfile(log)
        assert (summary.checkpoint_lsn, summary.end_lsn) == (copy.follower.checkpoint_lsn, end_lsn)
        assert log.stat().st_size == mysql_format.HEADER_SIZE + copy.follower.copied_bytes

    def recover(self, server: Any, log: Path) -> None:
        mysql_redo.recover(server, log)

    def recovered_to(self, server: Any) -> int:
        return mysql_redo.recovered_to(server)

    def end_of_dead_log(self, server: Any, workdir: Path) -> tuple[int, int]:
        """As a follower finds them."""
        log = workdir / "log"
        with log.open("wb") as output:
            redo_directory = str(mysql_redo.redo_directory(server))
            follower = MysqlRedoFollower(redo_directory, "9.7.4", lambda: RedoStatus(0, 0), output, print)
            follower.start()
            mysql_redo.wait_for(lambda: follower._at_tail)
            time.sleep(0.2)
            file = follower._open_file()
            end = follower.lsn + redo_8_0_30.walk(file.read(follower.lsn, 512), follower.lsn).used
            assert follower.follow_until(end, 10) == end
        assert inspect_logfile(log).end_lsn == end
        return follower.checkpoint_lsn, end


REDO_FOLLOWING: dict[Family, RedoFollowing] = {
    Family.MARIADB: MariaDBRedoFollowing(),
    Family.MYSQL: MySQLRedoFollowing(),
}
