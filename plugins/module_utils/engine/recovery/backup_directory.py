# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Description of a backup directory by its own files: state, LSNs, how to read its data; also of one that the stock
tool made."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import manifest
from ..errors import TARGET_DIR, BackupError, BackupIncomplete, Clause, FormatError, NotABackup, UnsupportedTable
from ..format import file_kinds, metadata, strict_json
from ..format.backup_kind import FULL
from ..format.coordinates import parse_binlog_info
from ..format.family import Family, Flavor, recorded_flavor
from ..format.file_kinds import IN_PROGRESS_NAME, MANIFEST_NAME, MOVING_NAME, NOT_CONTENT
from ..format.metadata import Checkpoints
from ..format.names import safe_name
from ..format.record import checked_record
from ..format.tablespaces import RecordedTablespace
from ..format.tablespaces import parse as parse_tablespaces
from ..host import below, trees
from ..host.file_states import changed_since, states_of
from ..host.filling import require_finished
from ..host.small_files import read_small
from ..innodb.mariadb.page_compression import PROVIDERS, Providers, parse_plugin_load, providers_of
from ..manifest import Manifest
from ..server.data_files import DataFile, parse_data_files
from ..server.option_file import parse_options
from ..sources.place import DirectorySource
from ..stream.listing import checked_listing
from ..stream.readable import Readable

SCRATCH_NAME = ".xtrabackup-scratch"
"""Of the server that recovers the directory: what a killed run has left of it is removed by the next one."""

_MAX_METADATA = 16 << 20  # bytes
_PAGE_SIZES = (4096, 8192, 16384, 32768, 65536)
_MOST_UNDO_TABLESPACES = 127
_LARGEST_LOG = 1 << 40  # bytes
_MOST_DATA_FILES = 1000

COPIED = "copied"
PREPARED = "prepared"


@dataclass(frozen=True)
class Configuration:
    """``backup-my.cnf``: what a server must be told to read the files. Sizes in bytes."""

    data_files: tuple[DataFile, ...] = (DataFile(file_kinds.SYSTEM_NAME, 12 << 20, ("autoextend",)),)
    page_size: int = 16384
    undo_tablespaces: int = 0
    log_file_size: int = 96 << 20
    lower_case_table_names: int = 0
    plugins: tuple[str, ...] = ()  # of the source, for page compression
    names_noted: bool = False  # whether the file tells lower_case_table_names


@dataclass(frozen=True)
class BackupDirectory:
    """An unpacked backup.

    ``record`` is the backup's record, put together from the stock tool's files when there is no manifest.
    ``source_sha256`` names the manifest of the backup as it was taken, as far as this host knows it (see ``Manifest``),
    "" when it had none. ``changed``: a file that is not as the preparation on this host has left it ("" when it is not
    known which one); None when all are, or it was not prepared here. ``interrupted``: a preparation in place was begun
    and not ended. ``tablespaces``: those of a MySQL server that were not in its data directory.
    """

    path: Path
    checkpoints: Checkpoints
    checkpoints_name: str
    configuration: Configuration
    record: dict[str, Any]
    manifest: Manifest | None
    source_sha256: str
    interrupted: bool
    tablespaces: tuple[RecordedTablespace, ...] = ()
    changed: str | None = None

    @property
    def id(self) -> str:
        """The backup's id."""
        return str(self.record["id"])

    @property
    def flavor(self) -> Flavor:
        """The flavor of the server that the backup was taken from."""
        return recorded_flavor(self.record)

    @property
    def family(self) -> Family:
        """The family of that server."""
        return self.flavor.family

    @property
    def state(self) -> str:
        """``copied`` or ``prepared``."""
        prepared = self.checkpoints.backup_type == self.family.facts.prepared_type and not self.interrupted
        return PREPARED if prepared else COPIED

    @property
    def binary_log(self) -> str | None:
        """The name of the binary log file in the backup of a MySQL server; None when there is none."""
        binlog = self.record.get("binlog")
        held = binlog and binlog.get("file") and self.family.facts.binary_log_in_backup
        return str(binlog["file"]) if binlog and held else None

    def providers(self) -> Providers:
        """The plugins for page compression that its tables need: as recorded, or, where there is no record, found in
        the unpacked files."""
        found = (self.record.get("layout") or {}).get("compression_providers")
        if found is not None or not self.family.facts.compression_plugins:
            return Providers.from_dict(found)
        files = (self.path / name for name, _status in walk_files(self.path) if name.endswith(file_kinds.DATA_SUFFIX))
        return providers_of(files, self.path, self.configuration.plugins)

    @property
    def proven_sha256(self) -> str:
        """``source_sha256`` as long as the files are those that the preparation on this host has made of that backup;
        otherwise the digest of the manifest that is there."""
        return self.source_sha256 if self.changed is None or self.manifest is None else self.manifest.own_sha256

    @property
    def pins(self) -> tuple[str, ...]:
        """The digests by which somebody may ask for this backup, the first one being that by which it is told: of the
        backup that it is proven to be made from, and of its own manifest. Empty while the manifest does not describe
        the files that are there."""
        if self.manifest is None or not self.manifest_is_current:
            return ()
        # what was prepared from a backup without a manifest is known by its own
        return tuple(dict.fromkeys(filter(None, (self.proven_sha256, self.manifest.own_sha256))))

    @property
    def manifest_is_current(self) -> bool:
        """Returns whether the manifest describes the files as they are: not after another tool has prepared them."""
        return self.manifest is not None and (self.record.get("state") == PREPARED) == (self.state == PREPARED)


def is_backup_directory(path: Path) -> bool:
    """Returns whether ``path`` is a directory that holds an unpacked backup."""
    return any((path / name).is_file() for name in (*file_kinds.CHECKPOINTS_NAMES, MANIFEST_NAME))


def change_message(backup: BackupDirectory) -> str:
    """Returns the message about a prepared backup whose files were changed since."""
    which = f", {backup.changed} for example" if backup.changed else ""
    return f"files were changed since it was prepared here{which}"


def was_recovered(path: Path) -> bool:
    """Returns whether recovery has changed the backup in ``path``, or begun to. Raises StorageError."""
    if (path / IN_PROGRESS_NAME).exists():
        return True
    name, data = _first(path, file_kinds.CHECKPOINTS_NAMES)
    with contextlib.suppress(FormatError):  # files of another kind, which no recovery has touched
        found = None if data is None else metadata.parse_checkpoints(data, str(path / name))
        return found is not None and found.backup_type in metadata.PREPARED_TYPES
    return False


def read_backup_directory(path: Path, *, being_moved: bool = False) -> BackupDirectory:
    """Reads what the backup in ``path`` says about itself. Raises NotABackup, BackupIncomplete, FormatError, and
    BackupError for kinds of backups that cannot be used alone. ``being_moved``: a restore that goes on moving it may
    read it."""
    DirectorySource(path).require_there()
    require_finished(path)
    found = _manifest(path)
    changed = _changed_file(path, found)
    name, data = _first(path, file_kinds.CHECKPOINTS_NAMES)
    if data is None:
        if (path / MANIFEST_NAME).exists():
            raise BackupIncomplete(f"{path} has a manifest but no {file_kinds.CHECKPOINTS_NAME}", path=str(path))
        raise NotABackup(f"{path} holds no {file_kinds.CHECKPOINTS_NAME}", path=str(path))
    checkpoints = _checkpoints(data, path, name)
    if found is None:
        record = checked_record(_stock_record(path, checkpoints), str(path))
    else:
        record = found.record if changed is None else found.record_of(found.own_sha256)
    family = recorded_flavor(record).family
    if checkpoints.backup_type == metadata.APPLY_LOG_ONLY != family.facts.prepared_type:
        raise BackupError(
            f"{path} was prepared with --apply-log-only, so that incremental backups could be applied to it",
            remedy="Finish it with the tool that made it (xtrabackup --prepare without --apply-log-only).",
            path=str(path),
            backup_type=checkpoints.backup_type,
        )
    if (path / MOVING_NAME).exists() and not being_moved:
        raise BackupIncomplete(
            f"{path} is being moved into a data directory: {_text(path / MOVING_NAME)}",
            remedy="Run the restore that was interrupted again; it goes on where it was.",
            path=str(path),
        )
    return BackupDirectory(
        path=path,
        checkpoints=checkpoints,
        checkpoints_name=name,
        configuration=_configuration(_first(path, (file_kinds.CONFIGURATION_NAME,))[1], path, family),
        record=record,
        manifest=found,
        source_sha256=found.source_sha256 if found else "",
        interrupted=(path / IN_PROGRESS_NAME).exists(),
        tablespaces=_tablespaces(_first(path, (file_kinds.TABLESPACES_NAME,))[1], path),
        changed=changed,
    )


def read_archived_backup(source: Readable, directory: Path) -> BackupDirectory:
    """Reads what the backup in the archive ``source`` says about itself, as if it were unpacked in ``directory``
    already.

    Only headers and a few small entries are read, so nothing is verified. Raises what ``read_backup_directory`` does,
    and StreamError for an archive that is not complete.
    """
    archive = Path(source.location)
    listing = checked_listing(
        source,
        require_manifest=False,
        keep=(*file_kinds.CHECKPOINTS_NAMES, file_kinds.CONFIGURATION_NAME, file_kinds.TABLESPACES_NAME),
    )
    if listing.manifest is None:
        raise BackupIncomplete(
            f"{archive}: the archive has no manifest, so it is not known to be complete", path=str(archive)
        )
    listing.manifest.require_whole(archive)
    name = next((name for name in file_kinds.CHECKPOINTS_NAMES if name in listing.content), None)
    if name is None:
        raise BackupIncomplete(f"{archive} holds no {file_kinds.CHECKPOINTS_NAME}", path=str(archive))
    return BackupDirectory(
        path=directory,
        checkpoints=_checkpoints(listing.content[name], archive, name),
        checkpoints_name=name,
        configuration=_configuration(
            listing.content.get(file_kinds.CONFIGURATION_NAME),
            archive,
            recorded_flavor(listing.manifest.backup).family,
        ),
        record=listing.manifest.record,
        manifest=listing.manifest,
        source_sha256=listing.manifest.source_sha256,
        interrupted=False,
        tablespaces=_tablespaces(listing.content.get(file_kinds.TABLESPACES_NAME), archive),
    )


def _manifest(path: Path) -> Manifest | None:
    try:
        found, _sha256 = manifest.read_stored(path)
    except FileNotFoundError:
        return None
    found.require_whole(path)
    return found


def _changed_file(path: Path, found: Manifest | None) -> str | None:
    """See ``BackupDirectory.changed``."""
    if found is None or found.preparation is None:
        return None
    known = found.preparation.files
    if states_of(path) == known:
        return None
    gone = (entry.path for entry in found.files if not os.path.lexists(path / entry.path))
    return changed_since(path, known.newest) or next(gone, "")


def _checkpoints(data: bytes, path: Path, name: str) -> Checkpoints:
    checkpoints = metadata.parse_checkpoints(data, str(path / name))
    if checkpoints.backup_type not in (FULL.copied_type, *metadata.PREPARED_TYPES):
        raise BackupError(
            f"{path} is a backup of type {checkpoints.backup_type}; only full backups can be prepared yet",
            path=str(path),
            backup_type=checkpoints.backup_type,
        )
    return checkpoints


def _configuration(data: bytes | None, path: Path, family: Family) -> Configuration:
    """``data`` is the content of ``backup-my.cnf`` of the backup at ``path``, None when there is none."""
    where = path / file_kinds.CONFIGURATION_NAME
    if data is None:
        raise BackupIncomplete(
            f"{path} has no {file_kinds.CONFIGURATION_NAME}, which tells how its files are to be read", path=str(path)
        )
    options = parse_options(data, where, {"mysqld"})
    plugins = parse_plugin_load(options.get("plugin_load", ""))
    encrypted = not set(plugins) <= set(PROVIDERS) or options.get("innodb_encrypt_log", "OFF").upper() in ("1", "ON")
    # MySQL's keys are looked for when it is recovered
    if encrypted and family is Family.MARIADB:
        raise UnsupportedTable(
            f"{where} asks for an encryption plugin ({options.get('plugin_load', 'innodb_encrypt_log')}): encrypted "
            "tables and logs are not supported yet",
            path=str(where),
        )
    default = Configuration()
    try:
        return Configuration(
            data_files=_data_files(options["innodb_data_file_path"], str(where))
            if "innodb_data_file_path" in options
            else default.data_files,
            page_size=_page_size(options, str(where), default.page_size),
            undo_tablespaces=_number(
                options, str(where), "innodb_undo_tablespaces", default.undo_tablespaces, _MOST_UNDO_TABLESPACES
            ),
            log_file_size=_number(options, str(where), "innodb_log_file_size", default.log_file_size, _LARGEST_LOG),
            lower_case_table_names=_number(
                options, str(where), "lower_case_table_names", default.lower_case_table_names, 2
            ),
            plugins=tuple(plugins),
            names_noted="lower_case_table_names" in options,
        )
    except ValueError as error:
        raise FormatError(f"{where}: {error}", where=str(where)) from error


def _data_files(text: str, where: str) -> tuple[DataFile, ...]:
    files = parse_data_files(text, where)
    if len(files) > _MOST_DATA_FILES:
        raise FormatError(f"{where}: innodb_data_file_path has {len(files)} files", where=where)
    for file in files:
        safe_name(file.name, f"{where}: innodb_data_file_path")
        if not all(attribute.isascii() and attribute.isalnum() for attribute in file.attributes):
            raise FormatError(f"{where}: innodb_data_file_path={text[:200]!r} cannot be understood", where=where)
    return files


def _page_size(options: dict[str, str], where: str, default: int) -> int:
    size = _number(options, where, "innodb_page_size", default, max(_PAGE_SIZES))
    if size not in _PAGE_SIZES:
        raise FormatError(f"{where}: innodb_page_size is {size}, which no page has", where=where)
    return size


def _number(options: dict[str, str], where: str, name: str, default: int, largest: int) -> int:
    return strict_json.whole_of(options[name], where, name, largest) if name in options else default


def _tablespaces(data: bytes | None, path: Path) -> tuple[RecordedTablespace, ...]:
    """``data`` is the content of ``xtrabackup_tablespaces`` of the backup at ``path``, None when there is none."""
    return () if data is None else tuple(parse_tablespaces(data, str(path / file_kinds.TABLESPACES_NAME)))


def _stock_record(path: Path, checkpoints: Checkpoints) -> dict[str, Any]:
    """The record of a backup without a manifest, from the files that the stock tools leave:
    docs/internals/formats-backup-files.md#info-file and docs/internals/formats-backup-files.md#coordinates-files."""
    _name, info_data = _first(path, file_kinds.INFO_NAMES)
    info = dict(re.findall(r"^(\w+) = (.*)$", (info_data or b"").decode("utf-8", "replace"), re.MULTILINE))
    _name, binlog_data = _first(path, file_kinds.BINLOG_INFO_NAMES)
    binlog = parse_binlog_info((binlog_data or b"").decode("utf-8", "replace"))
    version = info.get("server_version", "")
    return {
        "id": info.get("uuid") or f"unnamed-{checkpoints.to_lsn}-{checkpoints.last_lsn}",
        **checkpoints.kind.record(),
        "path": str(path),
        "state": COPIED,
        "started": info.get("start_time"),
        "ended": info.get("end_time"),
        "server": {"flavor": _stock_flavor(path, info), "version": version},
        "to_lsn": checkpoints.to_lsn,
        "last_lsn": checkpoints.last_lsn,
        "binlog": binlog.as_dict() if binlog else None,
        "replication": [],
        "warnings": [],
    }


def _stock_flavor(path: Path, info: dict[str, str]) -> str:
    """mariadb-backup names MariaDB in the version; newer releases of Percona's tool have a line for the flavor."""
    version = info.get("server_version", "")
    if "mariadb" in version.lower():
        return Flavor.MARIADB.value
    named = f"{info.get('server_flavor', '')} {info.get('tool_name', '')}".lower()
    if (path / file_kinds.LOGFILE_NAME).exists() or "server_flavor" in info or "xtrabackup" in named:
        return Flavor.PERCONA.value if "percona server" in named else Flavor.MYSQL.value
    return ""


def _first(path: Path, names: tuple[str, ...]) -> tuple[str, bytes | None]:
    """Name and content of the first of ``names`` that is in ``path``."""
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            return name, read_small(path / name, _MAX_METADATA).data
    return names[0], None


def _text(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return read_small(path, _MAX_METADATA).data.decode("utf-8", "replace").strip()[:500]
    return ""


def walk_files(root: Path, *, linked_directories: bool = False) -> Iterator[tuple[str, os.stat_result]]:
    """Path relative to ``root`` (``/`` between parts) and status of each file below, links not followed.

    Raises UnsafeFile for a link to a directory, whose files would be missing, unless ``linked_directories`` may be
    there: a data directory can have some.
    """
    for directory, names, files in trees.walk(root):
        names[:] = sorted(name for name in names if directory != os.fspath(root) or name not in NOT_CONTENT)
        for name in () if linked_directories else names:
            path = os.path.join(directory, name)
            below.require_kind(os.lstat(path), path, stat.S_IFDIR)
        for name in sorted(files):
            path = os.path.join(directory, name)
            yield os.path.relpath(path, root), os.lstat(path)


def require_recoverable_files(path: Path, *, in_place: bool) -> None:
    """Raises UnsupportedTable or BackupError for what is in the directory and must not be there.

    Above all links and ``.isl`` files (DATA DIRECTORY): a server that follows them would open, and change, a file
    outside, perhaps that of the source itself. Hard links matter only where files are changed ``in_place``.
    """
    for directory, names, files in trees.walk(path):
        if directory == os.fspath(path):
            names[:] = [name for name in names if name != SCRATCH_NAME]
        for name in (*names, *files):
            _require_recoverable_file(Path(directory) / name, in_place)
    if (path / file_kinds.ROCKSDB_DIRECTORY).exists():
        raise UnsupportedTable(
            f"{path / file_kinds.ROCKSDB_DIRECTORY}: MyRocks tables are not supported yet", path=str(path)
        )


def _require_recoverable_file(path: Path, in_place: bool) -> None:
    if file_kinds.LINK.matches(path.name):
        raise UnsupportedTable(
            f"{path}: the table lies outside the data directory (DATA DIRECTORY), which is not supported yet",
            path=str(path),
        )
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode) or (in_place and stat.S_ISREG(status.st_mode) and status.st_nlink > 1):
        raise BackupError(
            f"{path} is a link: recovery would change a file outside the backup",
            remedy=f"Copy the backup without links{Clause(f'; hard links do no harm when a {TARGET_DIR} is given')}.",
            path=str(path),
        )
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise BackupError(
            f"{path} is neither a file nor a directory",
            remedy="Remove it: no backup holds pipes, sockets or devices.",
            path=str(path),
        )
    if path.suffix in file_kinds.PACKED.suffixes and not _is_unpacked(path):
        raise BackupIncomplete(
            f"{path} is still packed",
            remedy="Unpack the backup completely (decompress, decrypt) before it is prepared.",
            path=str(path),
        )


def _is_unpacked(path: Path) -> bool:
    """Returns whether the file that the packed one at ``path`` unpacks to is beside it: people keep both."""
    while path.suffix in file_kinds.PACKED.suffixes:
        path = path.with_suffix("")
    return path.is_file()
