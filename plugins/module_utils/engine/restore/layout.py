# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layout of this host's server: the paths of each kind of file, read from its own option files, as the server reads
them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..errors import InvalidOption, MissingProgram, Option, TargetUnsafe
from ..format.family import Family
from ..format.file_kinds import (
    SYSTEM_NAME,
)
from ..format.tablespaces import RecordedTablespace
from ..host import trees
from ..host.anchor import followed
from ..host.durable import storage_errors
from ..recovery.backup_directory import is_backup_directory
from ..server.data_files import DataFile, parse_data_files
from ..server.named_places import NamedPlaces, named_places
from ..server.printed_options import PROGRAM, ask, parse_options, server_groups, service_environment
from ..units import parse_size
from .log_files import LogFiles, log_files, without_extension
from .mariadb import layout as mariadb_layout
from .mysql import layout as mysql_layout
from .mysql.layout import TABLESPACE_NAMES, UNDO_NAMES

DEFAULT_DATADIR = "/var/lib/mysql"

_DEFAULT_DATA_FILES = (DataFile(SYSTEM_NAME, 12 << 20, ("autoextend",)),)
_PLUGIN_OPTIONS = ("plugin_dir", "plugin_load", "plugin_load_add")


class _FamilyLayout(Protocol):
    """Functions for the layout of one family: the module ``layout`` of its folder."""

    def server_options(self, datadir: Path, options: dict[str, str], /) -> dict[str, str]:
        """``options`` with what the server in ``datadir`` has persisted, where it does so."""

    def own_places(self, datadir: Path, options: Mapping[str, str], /) -> dict[str, Any]:
        """The fields of HostLayout that this family alone has."""

    def redo_directory(self, layout: HostLayout, /) -> Path | None:
        """The directory that holds the redo log and nothing else; None where there is none."""

    def place_of(self, layout: HostLayout, name: str, /) -> Path:
        """Returns the path on this host of the file ``name`` of a backup, which is none of the system tablespace."""

    def external_places(self, layout: HostLayout, tablespaces: Sequence[RecordedTablespace], /) -> dict[str, Path]:
        """Returns the paths on this host of ``tablespaces``, which were not in the source's data directory, by their
        names in the backup; but for those that are in the usual place. Raises InvalidOption."""

    def file_patterns(self, layout: HostLayout, /) -> list[tuple[Path, re.Pattern[str]]]:
        """Directories, and names of data files in them; but for directories of tablespaces."""

    def usual_plugin_directories(self) -> list[Path]:
        """Returns the usual directories of plugins whose components have their configuration beside them."""

    def shown_places(self, layout: HostLayout, /) -> dict[str, object]:
        """Returns, for results, the places that this family alone has."""


@dataclass(frozen=True)
class HostLayout:
    """Absolute places. ``data_files``: path and definition of each file of the system tablespace, in order.

    ``logs``: binary and relay logs, and the state of replica channels. ``page_size`` (bytes) and
    ``lower_case_table_names`` are None when no option file was read.

    ``mysql``: the server is MySQL or Percona Server, whose redo log is a directory of its own; it finds tablespaces in
    ``innodb_directories``, too.
    ``plugins``: the options that tell which plugins are loaded, and from where; None when no option file was read.
    ``named``: what else the options name below the data directory. ``plugin_dir`` of the server, None when it is not
    known: its keyring may be configured there.
    """

    datadir: Path
    data_files: tuple[tuple[Path, DataFile], ...]
    log_group_home_dir: Path
    undo_directory: Path
    aria_log_dir: Path
    logs: LogFiles
    socket: Path | None = None
    pid_file: Path | None = None
    user: str | None = None
    page_size: int | None = None
    lower_case_table_names: int | None = None
    family: Family = Family.MARIADB
    innodb_directories: tuple[Path, ...] = ()
    doublewrite_dir: Path | None = None
    plugins: tuple[tuple[str, str], ...] | None = None
    named: NamedPlaces = field(default_factory=NamedPlaces)
    plugin_dir: Path | None = None

    @property
    def redo_directory(self) -> Path | None:
        """MySQL's directory for its redo log; None for MariaDB."""
        return _LAYOUTS[self.family].redo_directory(self)

    def usual_plugin_directories(self) -> list[Path]:
        """Returns the usual directories of a server's plugins whose components have their configuration beside them."""
        return _LAYOUTS[self.family].usual_plugin_directories()

    def finds_tablespaces_in(self, directory: Path) -> bool:
        """Returns whether a MySQL server with this layout looks for tablespaces in ``directory``, outside its
        datadir."""
        places = (*self.innodb_directories, self.undo_directory, *(path.parent for path, _file in self.data_files))
        return any(place in (directory, *directory.parents) for place in places)

    def place_of(self, name: str, backup_data_files: tuple[DataFile, ...]) -> Path:
        """Returns the path on this host of the file ``name`` of a backup; ``backup_data_files`` are the backup's, in
        its order."""
        for mine, (path, _definition) in zip(backup_data_files, self.data_files):
            if name == mine.name:
                return path
        return _LAYOUTS[self.family].place_of(self, name)

    def external_places(self, tablespaces: Sequence[RecordedTablespace]) -> dict[str, Path]:
        """Returns the paths on this host of those of ``tablespaces`` that go back to where they were, by their names in
        the backup. Raises InvalidOption."""
        return _LAYOUTS[self.family].external_places(self, tablespaces)

    def existing_outside(self) -> list[Path]:
        """Files of a server's data that are outside the data directory now, sorted: what a restore replaces there."""
        found = {path for path, _definition in self.data_files if os.path.lexists(path)}
        for directory, pattern in self._patterns():
            found |= _matching(directory, pattern)
        if self.redo_directory and _has_entries(self.redo_directory):
            found.add(self.redo_directory)
        with storage_errors("reading", self.logs.master_info.parent):
            found |= self.logs.existing()
        return sorted(path for path in found if not _inside(path, self.datadir))

    def shared_outside(self) -> set[Path]:
        """Those of ``existing_outside`` that are where other servers may have tablespaces, too."""
        found: set[Path] = set()
        for place in self.innodb_directories:
            for directory in self._with_tablespaces(place):
                found |= _matching(directory, TABLESPACE_NAMES)
        own = {path for path, _definition in self.data_files} | _matching(self.undo_directory, UNDO_NAMES)
        return {path for path in found - own if not _inside(path, self.datadir)}

    def _patterns(self) -> list[tuple[Path, re.Pattern[str]]]:
        """Directories, and names of data files in them."""
        below = [directory for place in self.innodb_directories for directory in self._with_tablespaces(place)]
        return [*_LAYOUTS[self.family].file_patterns(self), *((directory, TABLESPACE_NAMES) for directory in below)]

    def _with_tablespaces(self, place: Path) -> Iterator[Path]:
        """Directories below ``place`` where this server would find tablespaces: all, but for backups."""
        if place == self.datadir or place in self.datadir.parents:
            # what holds the data directory holds other servers' and what we keep beside it as well
            return
        for directory, names, _files in trees.walk(place):
            names[:] = [name for name in names if not is_backup_directory(Path(directory) / name)]
            yield Path(directory)

    def as_dict(self) -> dict[str, object]:
        """The places, for results and diff mode."""
        return {
            "datadir": str(self.datadir),
            "innodb_data_files": [str(path) for path, _definition in self.data_files],
            "innodb_log_group_home_dir": str(self.log_group_home_dir),
            "innodb_undo_directory": str(self.undo_directory),
            **_LAYOUTS[self.family].shown_places(self),
        }


_LAYOUTS: dict[Family, _FamilyLayout] = {Family.MARIADB: mariadb_layout, Family.MYSQL: mysql_layout}


def read_layout(defaults_file: Path | None, datadir: Path | None, family: Family, version: str = "") -> HostLayout:
    """The layout that the option files of this host ask for; ``defaults_file`` instead of the usual ones.

    ``datadir`` overrides theirs. Without ``defaults_file``, the host's usual option files count only if that is their
    data directory, too; otherwise they belong to another server, and everything is put into ``datadir``.
    ``family`` and ``version`` (9.7.4; "": not known) are those of the server whose layout it is.
    Raises MissingProgram, InvalidOption, TargetUnsafe.
    """
    if datadir is None or defaults_file is not None:
        options = read_server_options(defaults_file, family, version)
        return layout_from_options(options, datadir, family, known=True)
    try:
        options = read_server_options(None, family, version)
    except MissingProgram:
        options = {"datadir": ""}
    if _is_datadir_of(options, datadir):
        return layout_from_options(options, datadir, family, known=True)
    return layout_from_options({}, datadir, family, known=False)


def _is_datadir_of(options: dict[str, str], datadir: Path) -> bool:
    """Returns whether the option files mean ``datadir``, through links or not."""
    return os.path.realpath(_absolute(Path("/"), options.get("datadir", DEFAULT_DATADIR))) == os.path.realpath(datadir)


def read_server_options(defaults_file: Path | None, family: Family, version: str = "") -> dict[str, str]:
    """Options of the server's groups; names with underscores, the last one wins, ``loose_`` dropped."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise MissingProgram(
            f"{PROGRAM} is needed to read the server's option files",
            remedy=f"Install the server's packages first (Debian: mariadb-server-core), or give a {Option('datadir')}.",
            program=PROGRAM,
        )
    if defaults_file is not None and not defaults_file.is_file():
        raise InvalidOption(f"{Option('defaults_file')}: {defaults_file} does not exist", option="defaults_file")
    which = [f"--defaults-file={defaults_file}"] if defaults_file else []
    try:
        printed = ask(
            [program, *which, *server_groups(family, version)], service_environment(os.environ.get("PATH", ""))
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InvalidOption(f"{program}: {error}") from error
    if printed.status:
        raise InvalidOption(f"{program} cannot read the server's option files: {printed.said}", option="defaults_file")
    return parse_options(printed.lines)


def layout_from_options(options: dict[str, str], datadir: Path | None, family: Family, *, known: bool) -> HostLayout:
    """The layout that ``options`` describe, ``datadir`` overriding theirs; ``known``: they are the server's own,
    which is of ``family``."""
    theirs = Path(os.path.abspath(options.get("datadir") or DEFAULT_DATADIR))
    base = followed(theirs if datadir is None else datadir)
    override = os.path.realpath(base) != os.path.realpath(theirs)
    if not override and base != theirs:
        options = _respelled(options, theirs, base)
    options = _LAYOUTS[family].server_options(base, options)

    def directory(name: str) -> Path:
        return _absolute(base, options.get(name) or ".")

    home = options.get("innodb_data_home_dir")
    text = options.get("innodb_data_file_path")
    files = parse_data_files(text, "the server's option files") if text else _DEFAULT_DATA_FILES
    data_home = _absolute(base, home or ".")
    log_bin = _log_base(base, options.get("log_basename"), options.get("log_bin"), family)
    return HostLayout(
        datadir=base,
        data_files=tuple((_absolute(data_home, file.path), file) for file in files),
        log_group_home_dir=directory("innodb_log_group_home_dir"),
        undo_directory=directory("innodb_undo_directory"),
        aria_log_dir=directory("aria_log_dir_path"),
        logs=log_files(base, options, log_bin, family),
        # those of the option files belong to the server of the option files
        socket=Path(options["socket"]) if options.get("socket") and not override else None,
        pid_file=_absolute(base, options["pid_file"]) if options.get("pid_file") and not override else None,
        user=options.get("user") or None,
        page_size=parse_size(options.get("innodb_page_size", "16k"), "innodb_page_size") if known else None,
        lower_case_table_names=_number(options.get("lower_case_table_names", "0")) if known else None,
        plugins=tuple((name, options[name]) for name in _PLUGIN_OPTIONS if name in options) if known else None,
        named=named_places(base, options),
        plugin_dir=_absolute(base, options["plugin_dir"]) if options.get("plugin_dir") else None,
        family=family,
        **_LAYOUTS[family].own_places(base, options),
    )


def _respelled(options: dict[str, str], theirs: Path, base: Path) -> dict[str, str]:
    """``options`` with ``base`` in place of ``theirs``, another path of the same data directory, wherever they name
    something in it."""
    path = re.compile(rf"(?<![^;:=\"'\s]){re.escape(str(theirs))}(?=[/;:\"'\s]|$)")
    return {name: path.sub(lambda _found: str(base), value) for name, value in options.items()}


def _log_base(datadir: Path, basename: str | None, value: str | None, family: Family) -> Path | None:
    """The binary log's base name: a switch without a value means ``<host>-bin``."""
    if value is None:
        return None
    if value.lower() in ("", "1", "on", "true"):
        return datadir / f"{basename or socket.gethostname().partition('.')[0]}-bin"
    return without_extension(_absolute(datadir, value), family)


def _number(text: str) -> int:
    if not text.isdigit():
        raise InvalidOption(f"lower_case_table_names={text!r} in the server's option files is not a number")
    return int(text)


def _absolute(base: Path, path: str) -> Path:
    return Path(os.path.normpath(base / path))


def _matching(directory: Path, pattern: re.Pattern[str]) -> set[Path]:
    try:
        return {directory / name for name in os.listdir(directory) if pattern.fullmatch(name)}
    except FileNotFoundError:
        return set()
    except NotADirectoryError:
        raise TargetUnsafe(f"{directory} is not a directory", path=str(directory)) from None


def _listed(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _has_entries(directory: Path) -> bool:
    return bool(_listed(directory))


def _inside(path: Path, directory: Path) -> bool:
    return directory in path.parents
