# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of files in data directories and backups: one table of names, families, and what each job does with them.

Other modules ask the table, or use the names that it is made of; none spells a name again (a test looks for that).
Sources: docs/internals/formats-backup-files.md#mariadb-file-set and
docs/internals/formats-backup-files.md#mysql-file-set. Names of our own that no backup may have are in ``state_names``.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from .family import Family

_BOTH = frozenset(Family)
_MARIADB = frozenset({Family.MARIADB})
_MYSQL = frozenset({Family.MYSQL})

# --- names that other modules use on their own ----------------------------------------------------

SYSTEM_NAME = "ibdata1"  # the usual one; innodb_data_file_path can say others
SYSTEM_PREFIX = "ibdata"
DATA_SUFFIX = ".ibd"
MYSQL_UNDO_SUFFIX = ".ibu"  # of the undo tablespaces that SQL makes
LINK_SUFFIX = ".isl"
TEMPORARY_NAME = "ibtmp1"
DICTIONARY_NAME = "mysql.ibd"
SYSTEM_DATABASE = "mysql"
SCHEMA_CHANGE_PREFIX = "#sql"

REDO_NAME = Family.MARIADB.facts.redo_name
LOGFILE_NAME = Family.MYSQL.facts.redo_name
REDO_DIRECTORY = "#innodb_redo"
REDO_FILE_PREFIX = "#ib_redo"
TEMPORARY_DIRECTORY = "#innodb_temp"
LARGE_TRANSACTIONS_DIRECTORY = "#binlog_cache_files"
ROCKSDB_DIRECTORY = "#rocksdb"

ARIA_CONTROL_NAME = "aria_log_control"
ARIA_LOG_PREFIX = "aria_log."
ARIA_INDEX_SUFFIX = ".MAI"
ARIA_DATA_SUFFIX = ".MAD"
MYISAM_INDEX_SUFFIX = ".MYI"
MYISAM_DATA_SUFFIX = ".MYD"
CSV_DATA_SUFFIX = ".CSV"
MERGE_SUFFIX = ".MRG"
FRM_SUFFIX = ".frm"
SDI_SUFFIX = ".sdi"
DATABASE_OPTIONS_NAME = "db.opt"

INDEX_SUFFIX = ".index"
STATE_SUFFIX = ".state"
MASTER_INFO_NAME = "master.info"
RELAY_LOG_INFO_NAME = "relay-log.info"
CHANNELS_NAME = f"multi-{MASTER_INFO_NAME}"
PERSISTED_NAME = "mysqld-auto.cnf"
COMPONENTS_NAME = "mysqld.my"
OPTION_FILE_SUFFIX = ".cnf"

MANIFEST_NAME = "xtrabackup_manifest.json"
CHECKPOINTS_NAME = "xtrabackup_checkpoints"
INFO_NAME = "xtrabackup_info"
BINLOG_INFO_NAME = "xtrabackup_binlog_info"
SLAVE_INFO_NAME = "xtrabackup_slave_info"
CONFIGURATION_NAME = "backup-my.cnf"
TABLESPACES_NAME = "xtrabackup_tablespaces"
#: mariadb-backup 11.1 and newer write the second name
CHECKPOINTS_NAMES = (CHECKPOINTS_NAME, "mariadb_backup_checkpoints")
INFO_NAMES = (INFO_NAME, "mariadb_backup_info")
BINLOG_INFO_NAMES = (BINLOG_INFO_NAME, "mariadb_backup_binlog_info")

#: this directory is being prepared; it is being moved into a data directory, or a restore into it is under way; the
#: backup that was restored here
IN_PROGRESS_NAME = "xtrabackup_prepare_in_progress"
MOVING_NAME = "xtrabackup_restore_in_progress.json"
RESTORED_NAME = "xtrabackup_restored.json"

# what backup tools note about schema changes, at the end of a table's name
DROPPED_SUFFIX = ".del"
RENAMED_SUFFIX = ".ren"
NEWER_SUFFIX = ".new"
VOID_SUFFIX = ".crpt"
DELTA_SUFFIX = ".delta"
DELTA_META_SUFFIX = ".meta"

ZSTD_SUFFIX = ".zst"
LZ4_SUFFIX = ".lz4"
QUICKLZ_SUFFIX = ".qp"
ENCRYPTED_SUFFIX = ".xbcrypt"

# temporary names of our own: of what is being written, at the end of any name and only at the top; of a file that waits
# to be restored; of notes and files while schema changes are applied
PART_SUFFIX = ".xtrabackup-part"
PARTIAL_SUFFIX = ".partial"
STAGED_SUFFIX = ".xtrabackup-staged"
RENAMING_SUFFIX = ".xtrabackup-renaming"
MOVED_NOTE_SUFFIX = ".ren-xtrabackup"

# --- the table ------------------------------------------------------------------------------------


class Backup(enum.Enum):
    """Treatment of files of a kind by a backup."""

    PAGES = "copied page by page while the server runs"
    FOLLOWED = "copied while the server writes it"
    TABLE = "copied when no statement can write to the table"
    DEFINITION = "copied when no statement can change definitions"
    COPIED = "copied as it is"
    WRITTEN = "written by the backup itself"
    REFUSED = "a server that has it cannot be backed up"
    LEFT = "not copied"


class Prepare(enum.Enum):
    """Treatment of files of a kind by the preparation of a backup."""

    KEPT = "changed by recovery, or left as it is"
    REMOVED = "removed at the end: what a server leaves that has recovered"
    USED = "read by the preparation, which it tells what to do"
    REFUSED = "such a backup cannot be prepared"


class Restore(enum.Enum):
    """Treatment of files of a kind by a restore."""

    CARRIED = "put into the data directory, or where the options say"
    LEFT = "stays behind"
    HOSTS_OWN = "a file of this name in the data directory is the host's, and is kept"


class Archive(enum.Enum):
    """Form of files of a kind in an archive."""

    ENCODED = "compressed and encrypted when that is asked for"
    PLAIN = "neither compressed nor encrypted, so that every tool can read it"
    NEVER = "in none"


class Home(enum.Enum):
    """The option that can place them outside of the data directory, where there is one."""

    DATADIR = ""
    SYSTEM = "innodb_data_file_path"
    REDO = "innodb_log_group_home_dir"
    UNDO = "innodb_undo_directory"
    ARIA = "aria_log_dir_path"
    DOUBLEWRITE = "innodb_doublewrite_dir"
    TABLESPACES = "innodb_directories"


@dataclass(frozen=True)
class FileKind:
    """One kind. A file is of it when its own name (without directories) is one of ``names``, ends with one of
    ``suffixes``, begins with one of ``prefixes``, or is what the regular expression ``pattern`` says.

    ``sign``: a directory that has such a file at its top is a data directory. ``own``: a server makes it for itself, so
    it holds nothing of a user's. ``nested``: it can be in a directory of a database. ``inside``: the directory of the
    server's own that it is in. All others are at the top.
    """

    label: str
    names: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    pattern: str = ""
    families: frozenset[Family] = _BOTH
    backup: Backup = Backup.LEFT
    prepare: Prepare = Prepare.KEPT
    restore: Restore = Restore.CARRIED
    archive: Archive = Archive.ENCODED
    home: Home = Home.DATADIR
    sign: bool = False
    own: bool = False
    nested: bool = False
    inside: str = ""
    _regex: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = [re.escape(name) for name in self.names]
        parts += [f".*{re.escape(suffix)}" for suffix in self.suffixes]
        parts += [f"{re.escape(prefix)}.*" for prefix in self.prefixes]
        parts += [self.pattern] if self.pattern else []
        object.__setattr__(self, "_regex", re.compile("|".join(parts), re.DOTALL))

    def matches(self, name: str) -> bool:
        """Returns whether a file called ``name``, without directories, is of this kind."""
        return self._regex.fullmatch(name) is not None

    @property
    def expression(self) -> str:
        """The names as a regular expression."""
        return self._regex.pattern


# rows that other modules name
MARIADB_REDO = FileKind(
    "redo log", (REDO_NAME,), pattern=r"ib_logfile\d+", families=_MARIADB, backup=Backup.FOLLOWED,
    home=Home.REDO, sign=True, own=True,
)  # fmt: skip
MARIADB_UNDO = FileKind(
    "undo tablespace", pattern=r"undo\d{3}", families=_MARIADB, backup=Backup.PAGES, home=Home.UNDO, own=True,
)  # fmt: skip
MYSQL_UNDO = FileKind(
    "undo tablespace of the server", pattern=r"undo_\d{3}", families=_MYSQL, backup=Backup.PAGES, home=Home.UNDO,
    own=True,
)  # fmt: skip
MYSQL_UNDO_OF_SQL = FileKind(
    "undo tablespace that SQL made", suffixes=(MYSQL_UNDO_SUFFIX,), families=_MYSQL, backup=Backup.PAGES,
    home=Home.UNDO,
)  # fmt: skip
TABLESPACE = FileKind(
    "tablespace of a table, or a general one", suffixes=(DATA_SUFFIX,), backup=Backup.PAGES, home=Home.TABLESPACES,
    nested=True,
)  # fmt: skip
DOUBLEWRITE = FileKind(
    "doublewrite buffer", pattern=r"#ib_\d+_\d+\.[bd]?dblwr", families=_MYSQL, prepare=Prepare.REMOVED,
    home=Home.DOUBLEWRITE, own=True,
)  # fmt: skip
REDO_FILE = FileKind(
    "file of the redo log", pattern=r"#ib_redo(\d+)", families=_MYSQL, backup=Backup.FOLLOWED,
    restore=Restore.LEFT, inside=REDO_DIRECTORY,
)  # fmt: skip
SPARE_REDO_FILE = FileKind(
    "spare file of the redo log", pattern=r"#ib_redo\d+_tmp", families=_MYSQL, restore=Restore.LEFT,
    inside=REDO_DIRECTORY,
)  # fmt: skip
SESSION_TEMPORARY = FileKind(
    "temporary tablespace of a session", pattern=r"temp_\d+\.ibt", families=_MYSQL, restore=Restore.LEFT,
    inside=TEMPORARY_DIRECTORY,
)  # fmt: skip
ARIA_CONTROL = FileKind(
    "control file of Aria",
    (ARIA_CONTROL_NAME,),
    families=_MARIADB,
    backup=Backup.FOLLOWED,
    home=Home.ARIA,
    sign=True,
    own=True,
)
ARIA_LOG = FileKind(
    "log of Aria", pattern=r"aria_log\.(\d{8})", families=_MARIADB, backup=Backup.FOLLOWED, home=Home.ARIA, own=True
)
ARIA = FileKind("Aria table", suffixes=(ARIA_INDEX_SUFFIX, ARIA_DATA_SUFFIX), backup=Backup.TABLE, nested=True)
MYISAM = FileKind("MyISAM table", suffixes=(MYISAM_INDEX_SUFFIX, MYISAM_DATA_SUFFIX), backup=Backup.TABLE, nested=True)
ARCHIVE_DATA = FileKind("ARCHIVE table", suffixes=(".ARZ",), backup=Backup.TABLE, nested=True)
ARCHIVE_META = FileKind("metadata of an ARCHIVE table", suffixes=(".ARM",), backup=Backup.TABLE, nested=True)
CSV = FileKind("CSV table", suffixes=(".CSM", CSV_DATA_SUFFIX), backup=Backup.TABLE, nested=True)
MERGE = FileKind("MERGE table", suffixes=(MERGE_SUFFIX,), backup=Backup.TABLE, nested=True)
FRM = FileKind(
    "definition of a table", suffixes=(FRM_SUFFIX,), families=_MARIADB, backup=Backup.DEFINITION, nested=True
)
SDI = FileKind(
    "definition of a table without InnoDB", suffixes=(SDI_SUFFIX,), families=_MYSQL, backup=Backup.DEFINITION,
    nested=True,
)  # fmt: skip
PARTITIONS = FileKind("partitions", suffixes=(".par",), families=_MARIADB, backup=Backup.DEFINITION, nested=True)
TRIGGERS = FileKind("triggers of a table", suffixes=(".TRG",), families=_MARIADB, backup=Backup.DEFINITION, nested=True)
TRIGGER = FileKind("name of a trigger", suffixes=(".TRN",), families=_MARIADB, backup=Backup.DEFINITION, nested=True)
DATABASE_OPTIONS = FileKind("options of a database", suffixes=(".opt",), backup=Backup.DEFINITION, nested=True)
LINK = FileKind(
    "path of a table outside of the data directory", suffixes=(LINK_SUFFIX,), backup=Backup.REFUSED,
    prepare=Prepare.REFUSED, nested=True,
)  # fmt: skip
FULLTEXT = FileKind(
    "tablespace of a fulltext index", backup=Backup.PAGES, nested=True,
    pattern=r"FTS_[0-9a-f]{16}_(?:[0-9a-f]{16}_INDEX_[1-6]|(?:BEING_)?DELETED(?:_CACHE)?|CONFIG)\.ibd",
)  # fmt: skip
BINARY_LOG = FileKind("binary or relay log", pattern=r"[^/]+\.\d{6,}")
BINARY_LOG_INDEX = FileKind(
    "positions of GTIDs in a binary log, of MariaDB 11.4 and later", pattern=r"[^/]+\.\d{6,}\.idx", families=_MARIADB
)
LARGE_TRANSACTION = FileKind(
    "large transaction that is not committed, of MariaDB 11.7 and later", pattern=r"ML_\d+", families=_MARIADB,
    restore=Restore.LEFT, inside=LARGE_TRANSACTIONS_DIRECTORY,
)  # fmt: skip
LOG_LIST = FileKind("list or state of binary logs", suffixes=(INDEX_SUFFIX, STATE_SUFFIX))
SERVER_IDENTITY = FileKind(
    "identity of a server", ("auto.cnf",), prepare=Prepare.REMOVED, restore=Restore.LEFT, own=True
)
CLUSTER = FileKind("place in a Galera cluster", ("grastate.dat", "gvwstate.dat", "galera.cache"), families=_MARIADB)
PID_FILE = FileKind(
    "process id", suffixes=(".pid",), prepare=Prepare.REMOVED, restore=Restore.LEFT, own=True, nested=True
)
SOCKET = FileKind("socket", suffixes=(".sock",), prepare=Prepare.REMOVED, restore=Restore.LEFT, nested=True)
CREDENTIALS = FileKind(
    "key or certificate", suffixes=(".pem", ".key", ".crt", ".crl", ".csr"), restore=Restore.HOSTS_OWN, nested=True
)
KEYRING = FileKind("keyring", pattern=r".*keyring.*", restore=Restore.HOSTS_OWN)
PACKED = FileKind(
    "packed file", suffixes=(ZSTD_SUFFIX, LZ4_SUFFIX, QUICKLZ_SUFFIX, ENCRYPTED_SUFFIX), prepare=Prepare.REFUSED,
    restore=Restore.LEFT, nested=True,
)  # fmt: skip
METADATA = FileKind(
    "what tells about a backup", prefixes=("xtrabackup_", "mariadb_backup_", CONFIGURATION_NAME), backup=Backup.WRITTEN,
    prepare=Prepare.USED,
)  # fmt: skip

MARIADB_NOTES = FileKind(
    "note about a schema change", suffixes=(DROPPED_SUFFIX, RENAMED_SUFFIX, NEWER_SUFFIX), families=_MARIADB,
    prepare=Prepare.USED, nested=True,
)  # fmt: skip
MYSQL_NOTES = FileKind(
    "note about a schema change, or a difference to another backup", families=_MYSQL, prepare=Prepare.REFUSED,
    suffixes=(
        DROPPED_SUFFIX, RENAMED_SUFFIX, DATA_SUFFIX + NEWER_SUFFIX, MYSQL_UNDO_SUFFIX + NEWER_SUFFIX, VOID_SUFFIX,
        DELTA_SUFFIX, DELTA_META_SUFFIX,
    ), nested=True,
)  # fmt: skip

KINDS = (
    FileKind("system tablespace", (SYSTEM_NAME,), pattern=r"ibdata\d+", backup=Backup.PAGES, home=Home.SYSTEM,
             sign=True, own=True),
    TABLESPACE,
    FULLTEXT,
    MARIADB_UNDO,
    MYSQL_UNDO,
    MYSQL_UNDO_OF_SQL,
    FileKind("truncation of an undo tablespace", pattern=r"undo_\d+_trunc\.log", families=_MYSQL,
             prepare=Prepare.REMOVED),
    MARIADB_REDO,
    FileKind("redo log that is being made", ("ib_logfile101",), families=_MARIADB, prepare=Prepare.REMOVED),
    FileKind("directory of the redo log", (REDO_DIRECTORY,), families=_MYSQL, sign=True),
    REDO_FILE,
    SPARE_REDO_FILE,
    DOUBLEWRITE,
    FileKind("temporary tablespace", (TEMPORARY_NAME,), pattern=r"ibtmp\d+", prepare=Prepare.REMOVED,
             restore=Restore.LEFT, own=True),
    FileKind("directory of temporary tablespaces", (TEMPORARY_DIRECTORY,), families=_MYSQL),
    SESSION_TEMPORARY,
    FileKind("pages of the buffer pool", ("ib_buffer_pool",), backup=Backup.COPIED, own=True),
    FileKind("dictionary", (DICTIONARY_NAME,), families=_MYSQL, backup=Backup.PAGES, sign=True, own=True),
    FileKind("directory of the system tables", (SYSTEM_DATABASE,), sign=True),
    FileKind("directory of MyRocks", (ROCKSDB_DIRECTORY,), prepare=Prepare.REFUSED),
    LINK,
    ARIA_CONTROL,
    ARIA_LOG,
    ARIA,
    MYISAM,
    ARCHIVE_DATA,
    ARCHIVE_META,
    CSV,
    MERGE,
    FRM,
    SDI,
    PARTITIONS,
    TRIGGERS,
    TRIGGER,
    DATABASE_OPTIONS,
    FileKind("list of schema changes of a crash", ("ddl_recovery.log", "ddl_recovery-backup.log", "ddl-recovery.log"),
             families=_MARIADB, prepare=Prepare.REMOVED),
    FileKind("log of two-phase commits", ("tc.log",), prepare=Prepare.REMOVED, own=True),
    BINARY_LOG,
    BINARY_LOG_INDEX,
    FileKind("directory of large transactions", (LARGE_TRANSACTIONS_DIRECTORY,), families=_MARIADB),
    LARGE_TRANSACTION,
    LOG_LIST,
    FileKind("state of replica channels", (MASTER_INFO_NAME, CHANNELS_NAME, RELAY_LOG_INFO_NAME),
             own=True),
    CLUSTER,
    SERVER_IDENTITY,
    FileKind("variables that were persisted", (PERSISTED_NAME,), families=_MYSQL, prepare=Prepare.REMOVED,
             restore=Restore.LEFT),
    FileKind("upgrades of a server", ("mysql_upgrade_history",), families=_MYSQL, prepare=Prepare.REMOVED,
             restore=Restore.LEFT),
    FileKind("upgrade of a server", pattern=r"(?:mysql|mariadb)_upgrade_(?:info|history)", own=True),
    PID_FILE,
    SOCKET,
    FileKind("messages and locks of a server", suffixes=(".err", ".log", ".lock"), own=True),
    FileKind("flag of a package", pattern=r"debian-[\d.]+\.flag", own=True),
    FileKind("certificates that a server has made", suffixes=(".pem",), families=_MYSQL, prepare=Prepare.REMOVED,
             restore=Restore.HOSTS_OWN),
    FileKind("certificates as servers name them", own=True, restore=Restore.HOSTS_OWN,
             pattern=r"(?:ca|server|client)-(?:cert|key)\.pem|ca\.pem|(?:private|public)_key\.pem"),
    FileKind("option file", suffixes=(OPTION_FILE_SUFFIX,), restore=Restore.HOSTS_OWN),
    FileKind("list of components", (COMPONENTS_NAME,), suffixes=(".my",), families=_MYSQL, restore=Restore.HOSTS_OWN),
    CREDENTIALS,
    KEYRING,
    METADATA,
    FileKind("manifest", (MANIFEST_NAME,), backup=Backup.WRITTEN, prepare=Prepare.USED, restore=Restore.LEFT,
             archive=Archive.PLAIN),
    FileKind("checkpoints", CHECKPOINTS_NAMES, backup=Backup.WRITTEN, prepare=Prepare.USED, restore=Restore.LEFT,
             archive=Archive.PLAIN),
    FileKind("configuration", (CONFIGURATION_NAME,), backup=Backup.WRITTEN, prepare=Prepare.USED, restore=Restore.LEFT,
             archive=Archive.PLAIN),
    FileKind("info and coordinates", (*INFO_NAMES, *BINLOG_INFO_NAMES, SLAVE_INFO_NAME), backup=Backup.WRITTEN,
             prepare=Prepare.USED, archive=Archive.PLAIN),
    FileKind("list of tablespaces", (TABLESPACES_NAME,), families=_MYSQL, backup=Backup.WRITTEN, prepare=Prepare.USED,
             restore=Restore.LEFT, archive=Archive.PLAIN),
    FileKind("copied redo log", (LOGFILE_NAME,), families=_MYSQL, backup=Backup.FOLLOWED, prepare=Prepare.USED,
             restore=Restore.LEFT),
    FileKind("notes of the stock tools", ("xtrabackup_binary", "xtrabackup_binlog_pos_innodb",
             "mariadb_backup_binlog_pos_innodb"), restore=Restore.LEFT, archive=Archive.PLAIN),
    FileKind("marker", (IN_PROGRESS_NAME,), restore=Restore.LEFT, archive=Archive.NEVER),
    FileKind("marker of a data directory", (RESTORED_NAME, MOVING_NAME), restore=Restore.LEFT, archive=Archive.NEVER),
    MARIADB_NOTES,
    MYSQL_NOTES,
    PACKED,
    FileKind("rest of a job", suffixes=(".pmap", ".tmp", PART_SUFFIX), restore=Restore.LEFT, nested=True),
)  # fmt: skip


def kinds_of(family: Family, **columns: enum.Enum) -> tuple[FileKind, ...]:
    """The kinds that a server of ``family`` has, and whose columns have these values."""
    return tuple(
        kind
        for kind in KINDS
        if family in kind.families and all(getattr(kind, name) is value for name, value in columns.items())
    )


def pattern_of(kinds: Iterable[FileKind]) -> re.Pattern[str]:
    """Returns the pattern that matches the names of all ``kinds``."""
    return re.compile("|".join(kind.expression for kind in kinds), re.DOTALL)


def suffixes_of(*kinds: FileKind) -> tuple[str, ...]:
    """The ends of names of all ``kinds``."""
    return tuple(suffix for kind in kinds for suffix in kind.suffixes)


def extensions_of(*kinds: FileKind) -> str:
    """The same without the point, as alternatives of a regular expression."""
    return "|".join(re.escape(suffix[1:]) for suffix in suffixes_of(*kinds))


#: names in a data directory that only a server's files have, whatever is in them: none is a key or an option file
SERVER_FILE = FileKind(
    "file of a server, by its looks",
    suffixes=suffixes_of(TABLESPACE, MYSQL_UNDO_OF_SQL, MYISAM, ARIA, FRM, PID_FILE, SOCKET)
    + (".ibt", ".err", ".log", INDEX_SUFFIX),
    prefixes=("ib", "aria_log", "undo", "#"),
    pattern=r".*\.\d{6,}",
)

#: what a file system puts into its own root, and backup tools leave alone
NOT_CONTENT = frozenset({"lost+found"})

DATADIR_SIGNS = frozenset(name for kind in KINDS if kind.sign for name in kind.names)

#: what a backup of each family has beside the data
METADATA_NAMES = {
    family: frozenset({CHECKPOINTS_NAME, INFO_NAME, BINLOG_INFO_NAME, SLAVE_INFO_NAME, CONFIGURATION_NAME, *more})
    for family, more in ((Family.MARIADB, (REDO_NAME,)), (Family.MYSQL, (LOGFILE_NAME, TABLESPACES_NAME)))
}


@dataclass(frozen=True)
class OverrideNames:
    """Names that the stock tool of a family gives to an entry of a stream that overrides an earlier tablespace: the
    suffix for a newer copy, and for one that makes it void, is put after the name without ``replaced``."""

    newer: str
    void: str
    replaced: str


OVERRIDES = {
    Family.MARIADB: OverrideNames(NEWER_SUFFIX, DROPPED_SUFFIX, replaced=DATA_SUFFIX),
    Family.MYSQL: OverrideNames(NEWER_SUFFIX, VOID_SUFFIX, replaced=""),
}

_LEFT = [kind for kind in KINDS if kind.restore is Restore.LEFT and not kind.inside]
_LEFT_AT_TOP = pattern_of(_LEFT)
_LEFT_NESTED = pattern_of(kind for kind in _LEFT if kind.nested)
_LEFTOVERS = {family: pattern_of(kinds_of(family, prepare=Prepare.REMOVED)) for family in Family}


def is_leftover(family: Family, name: str) -> bool:
    """Returns whether a file of this name at the top of a directory is what a server of ``family`` leaves at its end,
    and makes anew at its start."""
    return _LEFTOVERS[family].fullmatch(name) is not None


def is_metadata(path: str) -> bool:
    """Returns whether the file ``path`` of a backup tells about the backup and is no data of the server."""
    return "/" not in path and METADATA.matches(path)


_PLAIN = pattern_of(kind for kind in KINDS if kind.archive is Archive.PLAIN)


def is_plain_in_archives(path: str) -> bool:
    """Returns whether the file ``path`` of a backup is neither compressed nor encrypted in an archive.

    Only what is known to hold no data of the server is: the copied redo log has a name like metadata, and holds rows.
    """
    return "/" not in path and _PLAIN.fullmatch(path) is not None


def is_left_behind(path: str) -> bool:
    """Returns whether the file ``path`` of a backup has no place in any data directory: it describes a backup, belongs
    to one server alone, or is what a job has left."""
    directory, _slash, name = path.rpartition("/")
    return (_LEFT_NESTED if directory else _LEFT_AT_TOP).fullmatch(name) is not None
