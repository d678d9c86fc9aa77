# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that ask for what the engine does not do."""

from __future__ import annotations

from .option import BOTH, FLAG, NEEDLESS, NUMBER, OPTIONAL, REFUSED, TEXT, M, Option, P

_INCREMENTAL = "Incremental backups are not made and not applied yet. Take a full one."
_PARTIAL = (
    "Parts of a server cannot be restored as one. Take all of it; the module innodb.xtrabackup.xbstream unpacks single "
    "databases and tables of an archive."
)
_KEYRING = "MySQL's component_keyring_file is supported: --keyring-file names its file."
_ROCKSDB = "MyRocks tables are not supported yet."
_DUMP = "SET GLOBAL innodb_buffer_pool_dump_now=ON does it; the dump is in the backup when it is in the data directory."
_DAMAGED = "What comes out of it is no backup. Use another one."
_FIFO = "One stream does: it is as fast as the disks."

_ROWS: tuple[tuple[str, str, tuple[str, ...], str, str], ...] = (
    ("incremental", FLAG, P, "Take an incremental backup.", _INCREMENTAL),
    ("incremental-basedir", TEXT, BOTH, "The backup that an incremental one is based on.", _INCREMENTAL),
    ("incremental-dir", TEXT, BOTH, "The incremental backup that is applied.", _INCREMENTAL),
    ("incremental-lsn", TEXT, BOTH, "The LSN that an incremental backup begins at.", _INCREMENTAL),
    ("incremental-force-scan", FLAG, BOTH, "Read all pages for an incremental backup.", _INCREMENTAL),
    ("incremental-history-name", TEXT, BOTH, "The base of an incremental backup, by name.", _INCREMENTAL),
    ("incremental-history-uuid", TEXT, BOTH, "The base of an incremental backup, by UUID.", _INCREMENTAL),
    ("page-tracking", FLAG, P, "Have the server note which pages change.", _INCREMENTAL),
    (
        "apply-log-only",
        FLAG,
        P,
        "Do not roll back, so that incremental backups can be applied.",
        "Without incremental backups there is nothing to apply; leave it out and the backup is ready to use.",
    ),
    ("databases", TEXT, BOTH, "Only these databases and tables.", _PARTIAL),
    ("databases-file", TEXT, BOTH, "Only the databases and tables of this file.", _PARTIAL),
    ("databases-exclude", TEXT, BOTH, "Not these databases.", _PARTIAL),
    ("tables", TEXT, BOTH, "Only tables that match.", _PARTIAL),
    ("tables-file", TEXT, BOTH, "Only the tables of this file.", _PARTIAL),
    ("tables-exclude", TEXT, BOTH, "Not tables that match.", _PARTIAL),
    (
        "export",
        FLAG,
        BOTH,
        "Make files with which single tables can be imported.",
        "Not yet. Restore the backup somewhere and use FLUSH TABLES ... FOR EXPORT there.",
    ),
    ("innodb-force-recovery", OPTIONAL, M, "Recover in spite of damage.", _DAMAGED),
    ("innodb-force-recovery", NUMBER, P, "Recover in spite of damage.", _DAMAGED),
    (
        "log-innodb-page-corruption",
        FLAG,
        M,
        "Go on when pages are damaged.",
        "A damaged page is never copied in silence; its file and number are in the error.",
    ),
    ("rollback-prepared-trx", FLAG, P, "Roll back prepared transactions.", "XA ROLLBACK does it once the server runs."),
    ("history-file", TEXT, P, "A file for the history.", "The manifest holds it."),
    ("rebuild-indexes", FLAG, P, "Rebuild indexes of a compact backup.", "There are no compact backups."),
    ("rebuild-threads", NUMBER, P, "Threads for that.", "There are no compact backups."),
    ("keyring-file-data", TEXT, P, "The file of the plugin keyring_file.", _KEYRING),
    ("component-keyring-config", TEXT, P, "The configuration of a keyring component.", _KEYRING),
    ("component-keyring-file-config", TEXT, P, "The configuration of component_keyring_file.", _KEYRING),
    ("xtrabackup-plugin-dir", TEXT, P, "Where keyring plugins are.", _KEYRING),
    ("generate-new-master-key", FLAG, P, "Make a new master key when the backup is put in place.", _KEYRING),
    ("generate-transition-key", FLAG, P, "Make a key for the way.", _KEYRING),
    ("transition-key", OPTIONAL, P, "Encrypt the keys of tablespaces with this passphrase.", _KEYRING),
    ("plugin-load", TEXT, P, "Plugins to load.", _KEYRING),
    ("plugin-dir", TEXT, BOTH, "Where plugins are.", "The recovering server knows where its own are."),
    ("rocksdb-datadir", TEXT, BOTH, "The data directory of MyRocks.", _ROCKSDB),
    ("rocksdb-wal-dir", TEXT, P, "The log of MyRocks.", _ROCKSDB),
    ("rocksdb-checkpoint-max-age", NUMBER, P, "Age of a checkpoint of MyRocks.", _ROCKSDB),
    ("rocksdb-checkpoint-max-count", NUMBER, P, "How often one is made.", _ROCKSDB),
    ("dump-innodb-buffer-pool", FLAG, P, "Have the server dump its buffer pool.", _DUMP),
    ("dump-innodb-buffer-pool-timeout", NUMBER, P, "Seconds for that.", _DUMP),
    ("dump-innodb-buffer-pool-pct", NUMBER, P, "How much of it.", _DUMP),
    ("core-file", FLAG, BOTH, "Write a core file on a crash.", "There is no native code of ours that could crash."),
    ("innodb-temp-tablespaces-dir", TEXT, P, "Where temporary tablespaces are.", "They are in no backup."),
    ("fifo-streams", NUMBER, P, "Several streams through named pipes.", _FIFO),
    ("fifo-dir", TEXT, P, "Where the named pipes are.", _FIFO),
    ("fifo-timeout", NUMBER, P, "Seconds to wait for them.", _FIFO),
)

REFUSALS = tuple(
    Option(name, kind, text, REFUSED, reason, vendors, off=("0", "1") if name == "fifo-streams" else ("0",),
           secret=name == "transition-key")
    for name, kind, vendors, text, reason in _ROWS
)  # fmt: skip

NEEDLESS_OPTIONS = (
    Option("strict", FLAG, "Fail on invalid parameters.", NEEDLESS, "Always.", P),
    Option("close-files", FLAG, "Close files after they were read.", NEEDLESS, "Always, and safely."),
    Option(
        "log-copy-interval",
        NUMBER,
        "Milliseconds between two looks at the redo log.",
        NEEDLESS,
        "The log is followed without pause.",
    ),
    Option("extended-validation", FLAG, "Verify pages more thoroughly.", NEEDLESS, "Every page is verified.", M),
    Option(
        "encrypted-backup",
        FLAG,
        "Take pages that name a key for encrypted.",
        NEEDLESS,
        "What a page is, its tablespace tells.",
        M,
        on_only=True,
    ),
    Option(
        "rocksdb-backup",
        FLAG,
        "Back up MyRocks, if it is there.",
        NEEDLESS,
        "A server with MyRocks tables is refused by name, so that nothing is left out in silence.",
        M,
        on_only=True,
    ),
    Option(
        "tables-compatibility-check",
        FLAG,
        "Warn of tables of other engines.",
        NEEDLESS,
        "What cannot be backed up safely is an error.",
        P,
        on_only=True,
    ),
)
