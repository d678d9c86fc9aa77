# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data on MySQL servers that tests back up, restore and compare: as datasets.py, with what only MySQL has."""

from __future__ import annotations

from .client import DatabaseClient


def create_zoo(server: DatabaseClient, database: str = "zoo") -> None:
    """Make a database with tables of many engines, row formats and tablespaces, and every kind of definition."""
    server.execute(
        f"DROP DATABASE IF EXISTS `{database}`",
        f"CREATE DATABASE `{database}` CHARACTER SET latin1 COLLATE latin1_german2_ci",
        f"USE `{database}`",
        *_innodb_tables(server),
        *_other_engines(server),
        *_definitions(),
    )
    # a table whose name needs encoding in its file name, and one of 64 characters
    server.execute(
        "CREATE TABLE `strange näme #1 / $` (a INT PRIMARY KEY) ENGINE=InnoDB",
        "INSERT INTO `strange näme #1 / $` VALUES (1), (2)",
        f"CREATE TABLE `{'long' * 16}` (a INT PRIMARY KEY) ENGINE=InnoDB",
        "CREATE TABLE `mit-strich.und punkt` (a INT) ENGINE=MyISAM",
        "INSERT INTO `mit-strich.und punkt` VALUES (3)",
        "CREATE DATABASE IF NOT EXISTS `empty-one`",
        database=database,
    )


def _innodb_tables(server: DatabaseClient) -> list[str]:
    columns = "id INT AUTO_INCREMENT PRIMARY KEY, a INT, b VARCHAR(100), c TEXT, KEY (a)"
    statements = ["CREATE TABLESPACE general ADD DATAFILE 'general.ibd'"]
    formats = {
        "dynamic": "ROW_FORMAT=DYNAMIC",
        "compact": "ROW_FORMAT=COMPACT",
        "redundant": "ROW_FORMAT=REDUNDANT",
        "general": "TABLESPACE general",
        "system": "TABLESPACE innodb_system",
    }
    if int(server.variable("innodb_page_size")) <= 16384:
        formats["compressed"] = "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4"
        formats["page_zlib"] = "COMPRESSION='zlib'"
        formats["page_lz4"] = "COMPRESSION='lz4'"
    some = server.numbers(2000)
    for name, options in formats.items():
        table = f"innodb_{name}"
        statements += [
            f"CREATE TABLE {table} ({columns}) ENGINE=InnoDB {options}",
            f"INSERT INTO {table} (a, b, c) SELECT seq, CONCAT('b', seq), REPEAT('c', seq % 900) FROM {some}",
        ]
    numbers = server.numbers
    return [
        *statements,
        (
            "CREATE TABLE innodb_partitioned (id INT NOT NULL, year INT NOT NULL, b VARCHAR(50), "
            "PRIMARY KEY (id, year)) ENGINE=InnoDB PARTITION BY RANGE (year) SUBPARTITION BY HASH (id) SUBPARTITIONS 2 "
            "(PARTITION p0 VALUES LESS THAN (2000), PARTITION P1 VALUES LESS THAN (2020), "
            "PARTITION pmax VALUES LESS THAN MAXVALUE)"
        ),
        f"INSERT INTO innodb_partitioned SELECT seq, 1990 + seq % 45, REPEAT('p', 40) FROM {numbers(3000)}",
        "CREATE TABLE innodb_parent (id INT PRIMARY KEY) ENGINE=InnoDB",
        (
            "CREATE TABLE innodb_child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) "
            "REFERENCES innodb_parent (id) ON DELETE CASCADE) ENGINE=InnoDB"
        ),
        f"INSERT INTO innodb_parent SELECT seq FROM {numbers(100)}",
        f"INSERT INTO innodb_child SELECT seq, seq % 100 + 1 FROM {numbers(500)}",
        "CREATE TABLE innodb_fulltext (id INT PRIMARY KEY, words TEXT, FULLTEXT KEY (words)) ENGINE=InnoDB",
        f"INSERT INTO innodb_fulltext SELECT seq, CONCAT('word', seq, ' hot backup') FROM {numbers(300)}",
        "CREATE TABLE innodb_spatial (id INT PRIMARY KEY, place POINT NOT NULL SRID 0, SPATIAL KEY (place))",
        f"INSERT INTO innodb_spatial SELECT seq, POINT(seq, seq * 2) FROM {numbers(300)}",
        (
            "CREATE TABLE innodb_generated (id INT PRIMARY KEY, twice INT AS (id * 2) STORED, half INT AS (id DIV 2) "
            "VIRTUAL, KEY (half)) ENGINE=InnoDB"
        ),
        f"INSERT INTO innodb_generated (id) SELECT seq FROM {numbers(200)}",
        "CREATE TABLE innodb_json (id INT PRIMARY KEY, document JSON)",
        f"INSERT INTO innodb_json SELECT seq, JSON_OBJECT('n', seq) FROM {numbers(200)}",
        "CREATE TABLE innodb_instant (id INT PRIMARY KEY, a INT)",
        f"INSERT INTO innodb_instant SELECT seq, seq FROM {numbers(300)}",
        "ALTER TABLE innodb_instant ADD COLUMN b INT DEFAULT 5, ALGORITHM=INSTANT",
        "ALTER TABLE innodb_instant DROP COLUMN a, ALGORITHM=INSTANT",
        f"INSERT INTO innodb_instant SELECT seq + 1000, 6 FROM {numbers(300)}",
        "CREATE TABLE innodb_blobs (id INT PRIMARY KEY, b LONGBLOB) ENGINE=InnoDB",
        f"INSERT INTO innodb_blobs SELECT seq, REPEAT(CHAR(64 + seq), 100000) FROM {numbers(20)}",
        "CREATE TABLE innodb_empty (id INT PRIMARY KEY) ENGINE=InnoDB",
    ]


def _other_engines(server: DatabaseClient) -> list[str]:
    statements = []
    for engine, suffix in (("MyISAM", "1"), ("MyISAM", "2"), ("ARCHIVE", "1"), ("CSV", "1")):
        table = f"{engine.lower()}_{suffix}"
        key = ", KEY (a)" if engine == "MyISAM" else ""
        statements += [
            f"CREATE TABLE {table} (a INT NOT NULL, b VARCHAR(100) NOT NULL{key}) ENGINE={engine}",
            f"INSERT INTO {table} SELECT seq, REPEAT('{suffix}', seq % 90) FROM {server.numbers(1500)}",
        ]
    return [
        *statements,
        (
            "CREATE TABLE merged (a INT NOT NULL, b VARCHAR(100) NOT NULL, KEY (a)) ENGINE=MERGE "
            "UNION=(myisam_1, myisam_2) INSERT_METHOD=LAST"
        ),
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
