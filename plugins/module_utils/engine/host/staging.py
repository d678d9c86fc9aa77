# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Staging of a new directory: beside its name, under which it appears complete or not at all; or, when the
directory is there already and is empty, inside it, so that it stays the same directory with the same owner and mode."""

from __future__ import annotations

import abc
import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from ..errors import StorageError, TargetBusy, TargetNotEmpty, TargetUnsafe
from ..format import file_kinds
from . import below, durable, filling
from .anchor import Anchor, NewDirectory, is_anchored
from .replaceable import Replaceable, holds_backup, require_replaceable

_log = logging.getLogger(__name__)


class StagedDirectory(abc.ABC):
    """Write into ``staging``, an empty directory, and make that durable, then ``publish``, or ``abandon``. The place is
    locked until then.

    ``staging`` is the path by which this process gets there, also when somebody renames what is on the way.
    """

    def __init__(self, staging: Path) -> None:
        self.staging = staging
        self._over = False

    def publish(self) -> None:
        """Give what is in staging its place. Raises StorageError, TargetUnsafe; then this is to be abandoned."""
        _log.info("publishing what is in %s", self.staging)
        self._publish()
        self._over = True

    def abandon(self) -> None:
        """Remove what was written; nothing is done once it is published."""
        if not self._over:
            self._over = True
            _log.info("removing what is in %s", self.staging)
            self._abandon()

    @abc.abstractmethod
    def _publish(self) -> None: ...

    @abc.abstractmethod
    def _abandon(self) -> None: ...


class _Inside(StagedDirectory):
    def __init__(self, dest: Path, before: Callable[[Path], None]) -> None:
        self._filling = filling.Filling(dest, before=before)
        super().__init__(self._filling.staging)

    def _publish(self) -> None:
        self._filling.publish()

    def _abandon(self) -> None:
        self._filling.abandon()


class _Beside(StagedDirectory):
    def __init__(
        self, dest: Path, parent: below.Root, before: Callable[[Path], None], replace: bool, replaceable: Replaceable
    ) -> None:
        self._name = dest.name
        self._parent = parent
        self._replace = replace
        here = parent.path / dest.name
        with contextlib.ExitStack() as held:
            held.callback(parent.close)
            held.enter_context(durable.exclusive_lock(_lock_of(here), str(dest)))
            if here.is_dir():
                held.enter_context(durable.directory_lock(here, str(dest), beside=False))
            if replace:
                require_replaceable(here, replaceable)
            else:
                require_free(here)
            before(_beside(dest))
            durable.remove_tree(_beside(here))
            self._new = NewDirectory(parent, _beside(dest).name)
            self._held = held.pop_all()
        super().__init__(self._new.path)

    def _publish(self) -> None:
        final = self._parent.path / self._name
        if self._replace:
            durable.put_aside(final)
        self._new.publish_as(self._name)
        if self._replace:
            durable.remove_replaced(durable.aside_of(final))
        self._new.close()
        self._held.close()

    def _abandon(self) -> None:
        with self._held:
            self._new.remove()


@contextlib.contextmanager
def staged_file(dest: str | os.PathLike[str]) -> Iterator[Path]:
    """The locked place for a new file ``dest``: the path by which this process gets to it for the block, also when
    somebody renames what is on the way. Directories that are missing are made.

    Raises TargetBusy when another job works there, TargetUnsafe, StorageError.
    """
    place = Path(os.path.abspath(dest))
    with Anchor(place.parent, make=0o750) as parent:
        here = parent.path / place.name
        with durable.exclusive_lock(_lock_of(here), str(dest)):
            yield here


def _sweep_beside(dest: Path, parent: below.Root, before: Callable[[Path], None]) -> None:
    """Remove what a job that was killed has left beside ``dest``, which was not there at that time. Raises TargetBusy
    when it was not killed."""
    here = parent.path / dest.name
    if os.path.lexists(_beside(here)):
        try:
            with durable.exclusive_lock(_lock_of(here), str(dest)):
                before(_beside(dest))
                durable.remove_tree(_beside(here))
        except TargetBusy:
            raise
        except StorageError:
            return  # of somebody else, or in a place that is not ours: it does no harm


def _beside(dest: Path) -> Path:
    return dest.with_name(dest.name + file_kinds.PARTIAL_SUFFIX)


def _lock_of(dest: Path) -> Path:
    return dest.with_name(dest.name + ".lock")


def _nothing(_staging: Path) -> None:
    return


def is_fillable(dest: Path) -> bool:
    """Returns whether ``dest`` is a directory with nothing in it but what a killed job has left there."""
    with durable.storage_errors("looking at", dest):
        return dest.is_dir() and (is_anchored(dest) or not dest.is_symlink()) and filling.is_free(dest)


def is_taken(dest: Path) -> bool:
    """Returns whether ``dest`` is anything but absent or an empty directory, where a job may have been killed."""
    with durable.storage_errors("looking at", dest):
        return os.path.lexists(dest) and not is_fillable(dest)


def require_free(dest: Path) -> None:
    """Raises TargetNotEmpty when ``dest`` is taken."""
    if is_taken(dest):
        names = sorted(filling.foreign_names(dest)) if dest.is_dir() else []
        raise TargetNotEmpty(
            f"{dest} exists and is not empty" + (f": {', '.join(names[:5])}" if names else ""), path=str(dest)
        )


def require_renamable(dest: Path) -> None:
    """Raises TargetUnsafe for what cannot get another name."""
    if dest.parent == dest or os.path.ismount(dest):
        raise TargetUnsafe(
            f"{dest} cannot be renamed, so it cannot be replaced",
            remedy="Empty it, or name a directory in it.",
            path=str(dest),
        )


def open_staging(
    dest: str | os.PathLike[str],
    *,
    replace: bool = False,
    replaceable: Replaceable = holds_backup,
    before: Callable[[Path], None] = _nothing,
) -> StagedDirectory:
    """The locked place for a new directory ``dest``; with ``replace``, what is there is removed at the end, if it is
    ``replaceable``.

    ``before`` is called with the staging directory before what a killed job has left there is removed. Raises
    TargetNotEmpty when ``dest`` is taken or must not be removed, TargetUnsafe when it cannot be renamed and would have
    to be, TargetBusy when another job works there, StorageError.
    """
    place = Path(os.path.abspath(dest))
    if not is_fillable(place):
        require_renamable(place)
        return _Beside(place, Anchor(place.parent, make=0o750), before, replace, replaceable)
    if is_anchored(place):
        return _Inside(place, before)
    with Anchor(place.parent) as parent:
        _sweep_beside(place, parent, before)
        return _Inside(parent.path / place.name, before)


@contextlib.contextmanager
def staged_directory(
    dest: str | os.PathLike[str],
    *,
    replace: bool = False,
    replaceable: Replaceable = holds_backup,
    before: Callable[[Path], None] = _nothing,
) -> Iterator[StagedDirectory]:
    """``open_staging`` for the block, after which it is abandoned unless it was published."""
    place = open_staging(dest, replace=replace, replaceable=replaceable, before=before)
    try:
        yield place
    finally:
        place.abandon()
