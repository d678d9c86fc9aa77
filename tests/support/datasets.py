# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases to back up: every kind of table and definition in small, and one kind in large."""

from __future__ import annotations

from .client import DatabaseClient

ZOO_EXTENSIONS = (
    ["frm", "ibd", "par", "opt", "MYD", "MYI", "MRG", "ARZ", "CSV", "CSM", "MAD", "MAI", "TRG", "TRN"]
)  # fmt: skip
"""The kinds of files that the database of ``create_zoo`` has on disk."""


def create_zoo(server: DatabaseClient, database: str = "zoo") -> None:
    """Make a database with tables of many engines and every kind of definition (at least 20 tables)."""
    if not _has_engine(server, "ARCHIVE"):
        server.execute("INSTALL SONAME 'ha_archive'")
    server.execute(
        f"DROP DATABASE IF EXISTS `{database}`",
        f"CREATE DATABASE `{database}` CHARACTER SET latin1 COLLATE latin1_german2_ci COMMENT 'every kind'",
        f"USE `{database}`",
        *_innodb_tables(),
        *_other_engines(),
        *_definitions(),
    )
    # a table whose name needs encoding in its file name, and one of 64 characters
    server.execute(
        "CREATE TABLE `strange näme #1 / $` (a INT PRIMARY KEY) ENGINE=InnoDB",
        "INSERT INTO `strange näme #1 / $` VALUES (1), (2)",
        f"CREATE TABLE `{'long' * 16}` (a INT PRIMARY KEY) ENGINE=InnoDB",
        "CREATE TABLE `mit-strich.und punkt` (a INT) ENGINE=MyISAM",
        "INSERT INTO `mit-strich.und punkt` VALUES (3)",
        database=database,
    )


def _has_engine(server: DatabaseClient, engine: str) -> bool:
    return bool(server.value("SELECT COUNT(*) FROM information_schema.engines WHERE engine = %s", [engine]))


def _innodb_tables() -> list[str]:
    columns = "id INT AUTO_INCREMENT PRIMARY KEY, a INT, b VARCHAR(100), c TEXT, KEY (a)"
    formats = {
        "dynamic": "ROW_FORMAT=DYNAMIC",
        "compact": "ROW_FORMAT=COMPACT",
        "redundant": "ROW_FORMAT=REDUNDANT",
        "compressed": "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8",
        "page_compressed": "PAGE_COMPRESSED=1",
    }
    statements = []
    for name, options in formats.items():
        table = f"innodb_{name}"
        statements += [
            f"CREATE TABLE {table} ({columns}) ENGINE=InnoDB {options}",
            f"INSERT INTO {table} (a, b, c) SELECT seq, CONCAT('b', seq), REPEAT('c', seq % 900) FROM seq_1_to_2000",
        ]
    return [
        *statements,
        (
            "CREATE TABLE innodb_partitioned (id INT NOT NULL, year INT NOT NULL, b VARCHAR(50), "
            "PRIMARY KEY (id, year)) ENGINE=InnoDB PARTITION BY RANGE (year) SUBPARTITION BY HASH (id) SUBPARTITIONS 2 "
            "(PARTITION p0 VALUES LESS THAN (2000), PARTITION p1 VALUES LESS THAN (2020), "
            "PARTITION pmax VALUES LESS THAN MAXVALUE)"
        ),
        "INSERT INTO innodb_partitioned SELECT seq, 1990 + seq % 45, REPEAT('p', 40) FROM seq_1_to_3000",
        "CREATE TABLE innodb_parent (id INT PRIMARY KEY) ENGINE=InnoDB",
        (
            "CREATE TABLE innodb_child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) "
            "REFERENCES innodb_parent (id) ON DELETE CASCADE) ENGINE=InnoDB"
        ),
        "INSERT INTO innodb_parent SELECT seq FROM seq_1_to_100",
        "INSERT INTO innodb_child SELECT seq, seq % 100 + 1 FROM seq_1_to_500",
        "CREATE TABLE innodb_fulltext (id INT PRIMARY KEY, words TEXT, FULLTEXT KEY (words)) ENGINE=InnoDB",
        "INSERT INTO innodb_fulltext SELECT seq, CONCAT('word', seq, ' hot backup') FROM seq_1_to_300",
        "CREATE TABLE innodb_spatial (id INT PRIMARY KEY, place POINT NOT NULL, SPATIAL KEY (place)) ENGINE=InnoDB",
        "INSERT INTO innodb_spatial SELECT seq, POINT(seq, seq * 2) FROM seq_1_to_300",
        (
            "CREATE TABLE innodb_generated (id INT PRIMARY KEY, twice INT AS (id * 2) PERSISTENT, half INT AS (id / 2) "
            "VIRTUAL, KEY (half)) ENGINE=InnoDB"
        ),
        "INSERT INTO innodb_generated (id) SELECT seq FROM seq_1_to_200",
        "CREATE TABLE innodb_versioned (id INT PRIMARY KEY, a INT) ENGINE=InnoDB WITH SYSTEM VERSIONING",
        "INSERT INTO innodb_versioned SELECT seq, 0 FROM seq_1_to_50",
        "UPDATE innodb_versioned SET a = 1",
        "CREATE TABLE innodb_blobs (id INT PRIMARY KEY, b LONGBLOB) ENGINE=InnoDB",
        "INSERT INTO innodb_blobs SELECT seq, REPEAT(CHAR(64 + seq), 100000) FROM seq_1_to_20",
        "CREATE TABLE innodb_empty (id INT PRIMARY KEY) ENGINE=InnoDB",
        "CREATE SEQUENCE numbers START WITH 100 INCREMENT BY 5",
        "SELECT NEXT VALUE FOR numbers",
    ]


def _other_engines() -> list[str]:
    statements = []
    for engine, suffix in (("MyISAM", "1"), ("MyISAM", "2"), ("Aria", "1"), ("ARCHIVE", "1"), ("CSV", "1")):
        table = f"{engine.lower()}_{suffix}"
        key = ", KEY (a)" if engine in ("MyISAM", "Aria") else ""
        statements += [
            f"CREATE TABLE {table} (a INT NOT NULL, b VARCHAR(100) NOT NULL{key}) ENGINE={engine}",
            f"INSERT INTO {table} SELECT seq, REPEAT('{suffix}', seq % 90) FROM seq_1_to_1500",
        ]
    return [
        *statements,
        (
            "CREATE TABLE merged (a INT NOT NULL, b VARCHAR(100) NOT NULL, KEY (a)) ENGINE=MERGE "
            "UNION=(myisam_1, myisam_2) INSERT_METHOD=LAST"
        ),
        "CREATE TABLE aria_plain (a INT) ENGINE=Aria TRANSACTIONAL=0 ROW_FORMAT=PAGE",
        "INSERT INTO aria_plain SELECT seq FROM seq_1_to_400",
        "CREATE TABLE myisam_partitioned (a INT) ENGINE=MyISAM PARTITION BY HASH (a) PARTITIONS 3",
        "INSERT INTO myisam_partitioned SELECT seq FROM seq_1_to_900",
        "CREATE TABLE memory_1 (a INT) ENGINE=MEMORY",
    ]


def _definitions() -> list[str]:
    return [
        "CREATE VIEW seen AS SELECT a, COUNT(*) AS n FROM innodb_dynamic GROUP BY a",
        (
            "CREATE TRIGGER noted AFTER INSERT ON innodb_parent FOR EACH ROW INSERT INTO innodb_child VALUES "
            "(NEW.id + 100000, NEW.id)"
        ),
        "CREATE PROCEDURE doubled(IN n INT) SELECT n * 2",
        "CREATE FUNCTION tripled(n INT) RETURNS INT DETERMINISTIC RETURN n * 3",
        "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM innodb_empty",
        "INSERT INTO innodb_parent VALUES (1001)",
    ]


def create_big(server: DatabaseClient, mebibytes: int, *, database: str = "big", tables: int = 8) -> None:
    """Make about ``mebibytes`` of InnoDB data in ``tables`` tables, half of it compressible as text is.

    Made inside the server, without the binary log, so that it takes seconds a gigabyte. The
    tables differ in size (the first is the largest), as real ones do.
    """
    row = 1000  # bytes: about 15 rows in a page of 16 KiB
    weights = [2.0 if number == 0 else 1.0 for number in range(tables)]
    rows = [int(mebibytes * 1024 * 1024 / (row * 1.12) * weight / sum(weights)) for weight in weights]
    statements = [
        f"DROP DATABASE IF EXISTS `{database}`",
        f"CREATE DATABASE `{database}`",
        f"USE `{database}`",
        "SET NAMES latin1",  # to convert these texts is a tenth of the work
        "SET SESSION sql_log_bin = 0, unique_checks = 0, foreign_key_checks = 0",
    ]
    for number, count in enumerate(rows):
        statements.append(
            f"CREATE TABLE t{number} (id INT PRIMARY KEY, k INT UNSIGNED NOT NULL, random VARBINARY(512) NOT NULL, "
            "text VARCHAR(512) CHARACTER SET latin1 NOT NULL) ENGINE=InnoDB"
        )
        for begin in range(1, count + 1, 200_000):  # transactions of a bounded size
            end = min(count, begin + 199_999)
            statements.append(
                f"INSERT INTO t{number} SELECT seq, CRC32(seq), {_random_bytes(number)}, "
                f"REPEAT(CONCAT('row ', seq, ' of table {number}; '), 17) FROM {server.numbers(end, begin)}"
            )
    server.execute(*statements)


def _random_bytes(number: int) -> str:
    """An expression for 448 bytes that do not compress, the same in each run."""
    return "CONCAT(" + ", ".join(f"UNHEX(SHA2(CONCAT(seq, '-{number}-{part}'), 512))" for part in range(7)) + ")"


def create_many_tables(server: DatabaseClient, count: int, *, database: str = "many") -> None:
    """Make ``count`` small InnoDB tables, each with a row."""
    statements = [f"DROP DATABASE IF EXISTS `{database}`", f"CREATE DATABASE `{database}`", f"USE `{database}`"]
    for number in range(count):
        statements.append(f"CREATE TABLE t{number} (id INT PRIMARY KEY, a INT) ENGINE=InnoDB")
        statements.append(f"INSERT INTO t{number} VALUES (1, {number})")
    server.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 2", *statements)
