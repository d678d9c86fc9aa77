# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Binary and relay logs of a server, and its files about its replica channels.

All of it describes one set of data. A server that finds the state of a channel beside other data goes on replicating
at a position that is not theirs, as soon as it is started.

Each channel that has a name has relay logs and files of its own, whose names are made from those of the channel without
a name: ``relay-<channel>.000001``, ``master-<channel>.info``. What is like these may belong to another server, so
only channels that the server itself has listed are looked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..format.family import Family
from ..format.file_kinds import CLUSTER, INDEX_SUFFIX, MASTER_INFO_NAME, RELAY_LOG_INFO_NAME
from .mariadb import log_files as mariadb_log_files
from .mysql import log_files as mysql_log_files

_CLUSTER_SETTINGS = ("base_dir", "gcache.dir")  # of wsrep_provider_options


class _Channels(Protocol):
    """Functions for the channels of one family: the module ``log_files`` of its folder."""

    def channels(self, _master_info: Path, /) -> list[str]:
        """The names that channels have in names of files. Raises OSError for what cannot be read."""

    def state_files(self, master_info: Path, relay_log_info: Path, /) -> Iterable[Path]:
        """The files that this family alone has beside the state of its channels; some may not be there."""

    def log_stem(self, path: Path, /) -> str:
        """The name of the log ``path`` without what the server takes for an extension."""


_CHANNELS: dict[Family, _Channels] = {Family.MARIADB: mariadb_log_files, Family.MYSQL: mysql_log_files}


@dataclass(frozen=True)
class LogFiles:
    """Absolute places. ``log_bin`` and ``relay_log``: base names with their directories, None when not set.

    ``log_bin_index`` and ``relay_log_index``: None when they are beside their logs. ``master_info`` and
    ``relay_log_info``: state of the channel without a name. ``transactions``: the coordinator's log of two-phase
    commits, None when it has no place of its own. ``cluster``: where a Galera node notes its place in the cluster.
    """

    master_info: Path
    relay_log_info: Path
    log_bin: Path | None = None
    relay_log: Path | None = None
    log_bin_index: Path | None = None
    relay_log_index: Path | None = None
    transactions: Path | None = None
    cluster: tuple[Path, ...] = ()
    family: Family = Family.MARIADB

    def existing(self) -> set[Path]:
        """Those of the files that are there, wherever they are. Raises OSError for what cannot be read."""
        suffixes = ["", *(f"-{name}" for name in self._channels())]
        found = set(self._named(suffixes))
        bases = [self.log_bin] if self.log_bin else []
        if self.relay_log:
            bases.extend(self.relay_log.with_name(self.relay_log.name + suffix) for suffix in suffixes)
        listed: dict[Path, list[str]] = {}
        for base in bases:
            # a binary log that goes on under other data would give its GTIDs to them
            pattern = re.compile(rf"{re.escape(base.name)}\.(\d{{6,}}|index|state|info)(\.idx)?")
            names = listed.setdefault(base.parent, _listed(base.parent))
            found |= {base.parent / name for name in names if pattern.fullmatch(name)}
        found |= set(_CHANNELS[self.family].state_files(self.master_info, self.relay_log_info))
        return {path for path in found if os.path.lexists(path)}

    def _named(self, suffixes: list[str]) -> Iterator[Path]:
        """Files whose whole names are known."""
        for path in (self.log_bin_index, self.transactions):
            if path is not None:
                yield from _with_extension(path)
        for directory in self.cluster:
            yield from (directory / name for name in CLUSTER.names)
        for suffix in suffixes:
            yield _suffixed(self.master_info, suffix)
            yield _suffixed(self.relay_log_info, suffix)
            if self.relay_log_index is not None:
                yield from _with_extension(_suffixed(self.relay_log_index, suffix))

    def _channels(self) -> list[str]:
        """Names of channels as they are in names of files."""
        return _CHANNELS[self.family].channels(self.master_info)


def log_files(datadir: Path, options: Mapping[str, str], log_bin: Path | None, family: Family) -> LogFiles:
    """The places that ``options`` name; relative ones start in ``datadir``. ``log_bin``: the binary log's base name."""

    def place(name: str) -> Path | None:
        return Path(os.path.normpath(datadir / options[name])) if options.get(name) else None

    relay_log = place("relay_log")
    return LogFiles(
        master_info=place("master_info_file") or datadir / MASTER_INFO_NAME,
        relay_log_info=place("relay_log_info_file") or datadir / RELAY_LOG_INFO_NAME,
        log_bin=log_bin,
        relay_log=relay_log and without_extension(relay_log, family),
        log_bin_index=place("log_bin_index"),
        relay_log_index=place("relay_log_index"),
        transactions=place("log_tc"),
        cluster=tuple(Path(os.path.normpath(datadir / one)) for one in cluster_directories(options)),
        family=family,
    )


def cluster_directories(options: Mapping[str, str]) -> Iterator[str]:
    """The directories in which a Galera node with ``options`` notes its place, as they name them."""
    yield from filter(None, [options.get("wsrep_data_home_dir")])
    for part in options.get("wsrep_provider_options", "").strip("\"'").split(";"):
        setting, _equals, value = (word.strip() for word in part.partition("="))
        if setting in _CLUSTER_SETTINGS and value:
            yield value


def without_extension(path: Path, family: Family) -> Path:
    """The base name of a log; the server ignores what is after a dot."""
    stem = _CHANNELS[family].log_stem(path)
    return path.with_name(stem) if stem else path


def _suffixed(path: Path, suffix: str) -> Path:
    """The file of a channel: ``suffix`` is put before the extension."""
    stem, dot, extension = path.name.rpartition(".")
    return path.with_name(f"{stem}{suffix}{dot}{extension}") if dot else path.with_name(path.name + suffix)


def _with_extension(path: Path) -> tuple[Path, Path]:
    """An index as it is named, and with the extension that it gets in place of another one or none."""
    return path, path.with_name(f"{path.stem}{INDEX_SUFFIX}")


def _listed(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
