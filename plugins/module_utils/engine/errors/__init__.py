# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One tree of typed errors: what was being done, to what, and what the operator can do.

Each class has a stable ``code`` (part of the interface: playbooks match on it) and a default
``remedy``. A message names the thing and the place; ``details`` holds the same facts as data.

Each branch is a module; the classes are imported from here. The troubleshooting guide is made from them
(``make error-pages``): the first paragraph of a class's docstring says what has happened, the others when it happens
and in what state things are left; ``default_remedy`` is what to do; ``modules`` are those that return it, which
subclasses inherit.
"""

from __future__ import annotations

from .backups import (
    BackupError,
    BackupIncomplete,
    BackupMismatch,
    BackupPartial,
    NotABackup,
    NotPrepared,
    RecoveryFailed,
    RecoveryIncomplete,
)
from .base import XtrabackupError
from .formats import FormatError, PageCorrupt, RedoCorrupt, UnknownFormat
from .requests import RequestChanged, RequestError, RequestExpired, RequestSuperseded, RequestUnproven
from .server import (
    ConnectionFailed,
    DdlConflict,
    LockTimeout,
    MissingPrivilege,
    RedoOverwritten,
    RedoReplaced,
    ReplicationError,
    ServerError,
    ServiceFailed,
    TableFileMissing,
    UnsupportedServer,
    UnsupportedTable,
)
from .storage import (
    DataMeanwhile,
    DiskFull,
    FileInUse,
    ServerRunning,
    StorageError,
    TargetBusy,
    TargetNotEmpty,
    TargetUnsafe,
    UnsafeFile,
)
from .streams import (
    CommandFailed,
    DecryptionFailed,
    PeerFailed,
    PeerRefused,
    PeerTimeout,
    StreamCorrupt,
    StreamError,
    StreamTruncated,
)
from .usage import Cancelled, InvalidOption, JobGone, JobOtherVersion, JobRunning, MissingLibrary, MissingProgram
from .wording import BECOME, BECOME_USER, FORCE, INSTALL, TARGET_DIR, Clause, Keyword, Option, Program

__all__ = [
    "BECOME",
    "BECOME_USER",
    "FORCE",
    "INSTALL",
    "TARGET_DIR",
    "BackupError",
    "BackupIncomplete",
    "BackupMismatch",
    "BackupPartial",
    "Cancelled",
    "Clause",
    "CommandFailed",
    "ConnectionFailed",
    "DataMeanwhile",
    "DdlConflict",
    "DecryptionFailed",
    "DiskFull",
    "FileInUse",
    "FormatError",
    "InvalidOption",
    "JobGone",
    "JobOtherVersion",
    "JobRunning",
    "Keyword",
    "LockTimeout",
    "MissingLibrary",
    "MissingPrivilege",
    "MissingProgram",
    "NotABackup",
    "NotPrepared",
    "Option",
    "PageCorrupt",
    "PeerFailed",
    "PeerRefused",
    "PeerTimeout",
    "Program",
    "RecoveryFailed",
    "RecoveryIncomplete",
    "RedoCorrupt",
    "RedoOverwritten",
    "RedoReplaced",
    "ReplicationError",
    "RequestChanged",
    "RequestError",
    "RequestExpired",
    "RequestSuperseded",
    "RequestUnproven",
    "ServerError",
    "ServerRunning",
    "ServiceFailed",
    "StorageError",
    "StreamCorrupt",
    "StreamError",
    "StreamTruncated",
    "TableFileMissing",
    "TargetBusy",
    "TargetNotEmpty",
    "TargetUnsafe",
    "UnknownFormat",
    "UnsafeFile",
    "UnsupportedServer",
    "UnsupportedTable",
    "XtrabackupError",
]
