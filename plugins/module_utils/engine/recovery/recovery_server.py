# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interface of each family of servers for an isolated run: how it is started, asked, and ended, and what its log
means."""

from __future__ import annotations

import abc
import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from ..errors import XtrabackupError
from ..host import below, durable
from ..host.handover import Handover
from ..server.mysql.applied_positions import AppliedPosition
from .backup_directory import SCRATCH_NAME
from .error_log import RecoveryState

ANSWER_SECONDS = 0.02
"""Between two looks for an answer of the server."""

ASK_SECONDS = 0.2
"""Between two questions to it; the server itself looks no more often than every 0.1 s."""


@dataclass(frozen=True)
class RecoverySettings:
    """Settings of a recovery server: how to read the files. Sizes in bytes; ``data_file_path`` as
    innodb_data_file_path, names only.

    ``disposable``: the directory is a copy that is made again after a crash, so nothing has to be made durable or
    safe against torn pages while recovery runs. For MySQL: ``binary_log`` is the copied binary log from which
    prepared transactions are decided, ``gtid_mode``: GTIDs were on; ``keyring_file``: the keys of encrypted
    tablespaces; ``note_positions`` is told what replica channels had applied, before they are forgotten.
    For MariaDB: ``providers`` are the plugins for page compression that it must load.
    ``resumed``: an earlier run on this directory was interrupted.
    ``disable_events``: the data are to become a replica's (see ``events``). ``missing_tables``: the tables whose data
    file the source lacked, too.
    """

    page_size: int
    data_file_path: str
    undo_tablespaces: int
    buffer_pool_size: int
    log_file_size: int
    lower_case_table_names: int = 0
    disposable: bool = False
    binary_log: Path | None = None
    gtid_mode: bool = False
    keyring_file: Path | None = None
    note_positions: Callable[[list[AppliedPosition]], None] = lambda _positions: None
    providers: tuple[str, ...] = ()
    disable_events: bool = False
    missing_tables: tuple[str, ...] = ()
    resumed: bool = False


@dataclass(frozen=True)
class Scratch:
    """A place for the server's temporary files, and for what it is given and asked: ``path`` as the server names it.

    ``own`` is for us: while the server runs, who knows what it has put at that path.
    """

    path: Path
    own: Path


@contextlib.contextmanager
def scratch_of(held: Handover) -> Iterator[Scratch]:
    """A new directory in the one that was handed over, where the server may write, until the end of the block."""
    path = held.own / SCRATCH_NAME
    durable.remove_tree(path)
    with durable.storage_errors("creating", path):
        path.mkdir(mode=0o700)
    try:
        with durable.storage_errors("opening", path):
            descriptor = below.open_directory(path)
        try:
            yield Scratch(held.directory / SCRATCH_NAME, below.path_of(descriptor))
        finally:
            os.close(descriptor)
    finally:
        durable.remove_tree(path)


class RecoveryServer(abc.ABC):
    """A server in an isolated run. ``state`` is what its log has told."""

    state: RecoveryState

    @abc.abstractmethod
    def arguments(self) -> list[str]:
        """The command line, from ``argv[0]`` on; what it names is put into scratch."""

    @abc.abstractmethod
    def attach(self, process: subprocess.Popen[bytes]) -> None:
        """It was started as ``process``, with a pipe as its standard input."""

    @property
    @abc.abstractmethod
    def answers(self) -> bool:
        """Returns whether it can be asked by now."""

    @abc.abstractmethod
    def has_rolled_back(self) -> bool:
        """Returns whether it has nothing left to roll back; asks when it is time to, never waits long for the
        answer."""

    @abc.abstractmethod
    def end(self) -> None:
        """Tell it to end, cleanly."""

    @abc.abstractmethod
    def error(self, how_it_ended: str) -> XtrabackupError:
        """The error for a run that failed, from what its log told."""

    @abc.abstractmethod
    def close(self) -> None:
        """The run is over."""
