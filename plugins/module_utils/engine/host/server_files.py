# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a server's data, read by root while whoever runs code as the server's account may change them.

Symbolic links are followed where servers and administrators make them, and nowhere else: a directory in the data
directory (a database on another disk), and a file of a MyISAM, Aria or ARCHIVE table (DATA DIRECTORY, INDEX DIRECTORY),
which has the same name where it is. What they lead to must be no link again, and belong to the account that owns the
data directory: whoever made the link could read it anyway. Servers open such files whatever have_symlink says (tested
on MariaDB 10.11 and MySQL 9.7), so it is not asked.

Files of other owners, such as those an administrator put there, are read when they are in the data directory, or in
another directory of its owner, under one name: a hard link could have been made by somebody who may not read them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Union

from ..errors import UnsafeFile
from ..format.file_kinds import ARCHIVE_DATA, ARIA, MYISAM, suffixes_of
from . import below

_TABLE_SUFFIXES = suffixes_of(MYISAM, ARIA, ARCHIVE_DATA)
_REMEDY = (
    "Put the file itself there, or remove what is there. Only links of database directories, and of files of MyISAM, "
    "Aria and ARCHIVE tables to a file of the same name, are followed, to what belongs to the owner of the data "
    "directory. Options keep files of InnoDB elsewhere: innodb_data_home_dir, innodb_undo_directory, "
    "innodb_log_group_home_dir."
)


class ServerFiles:
    """Opens the files of the server whose data directory is ``datadir``, by their absolute paths.

    Paths outside of it are those that the server names: their directories are reached over links, too.
    """

    def __init__(self, datadir: Path) -> None:
        self._datadir = datadir

    def open(self, path: Path) -> int:
        """A descriptor of the regular file ``path``. Raises UnsafeFile when it must not be read, OSError,
        FileNotFoundError when it is not there."""
        try:
            owner = os.stat(self._datadir).st_uid
            if self._datadir in path.parents:
                return self._open_inside(path, owner)
            return _open_outside(path, owner)
        except UnsafeFile as error:
            raise _refusal(path, error) from error

    def reading(self, path: Path) -> BinaryIO:
        """As ``open``, a file object to read from."""
        return os.fdopen(self.open(path), "rb")

    def status(self, path: Path) -> os.stat_result:
        """The status of the regular file ``path``; raises as ``open``."""
        descriptor = self.open(path)
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def size(self, entry: Union[os.DirEntry[str], Path]) -> int | None:
        """Bytes of the regular file ``entry``; None when it has vanished, is a directory, or a link that leads to none
        or nowhere. Raises as ``open``, so that what cannot be read is known before anything is."""
        path = Path(entry)
        try:
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and self._datadir in path.parents:
                return status.st_size
            if stat.S_ISDIR(os.stat(path).st_mode):
                return None
            return self.status(path).st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None
            raise

    def require_own_directory(self, link: os.DirEntry[str]) -> None:
        """Raises UnsafeFile when the ``link`` in the data directory leads to a directory that does not belong to the
        owner of the data directory, or over another link."""
        try:
            with below.Root(self._datadir) as root:
                self._linked_directory(root, link.name, root.status().st_uid).close()
        except UnsafeFile as error:
            raise _refusal(Path(link.path), error) from error

    # --- inside ----------------------------------------------------------------------------------

    def _open_inside(self, path: Path, owner: int) -> int:
        name = path.relative_to(self._datadir)
        with contextlib.ExitStack() as opened:
            root = opened.enter_context(below.Root(self._datadir))
            if len(name.parts) > 1 and stat.S_ISLNK(root.status(name.parts[0]).st_mode):
                root = opened.enter_context(self._linked_directory(root, name.parts[0], owner))
                name = Path(*name.parts[1:])
            if stat.S_ISLNK(root.status(name).st_mode) and name.suffix in _TABLE_SUFFIXES:
                return _open_target(path, root.read_link(name), owner)
            return _checked(root.open(name), path, owner, in_place=True)

    def _linked_directory(self, root: below.Root, name: str, owner: int) -> below.Root:
        """Opens the directory that the link ``name`` in the data directory leads to."""
        target = Path(os.path.normpath(self._datadir / root.read_link(name)))
        with below.Root(target.parent) as parent:
            found = parent.directory(target.name)
        if found.status().st_uid != owner:
            uid = found.status().st_uid
            found.close()
            raise _belongs_to(target, uid, owner)
        return found


def _open_target(path: Path, link: str, owner: int) -> int:
    """The file of a table that the ``link`` at ``path`` leads to."""
    target = Path(os.path.normpath(os.path.join(os.path.realpath(path.parent), link)))
    if target.name != path.name:
        raise UnsafeFile(f"{path} is a symbolic link to a file of another name", path=str(path))
    with below.Root(target.parent) as root:
        return _checked(root.open(target.name), target, owner, in_place=False)


def _open_outside(path: Path, owner: int) -> int:
    with below.Root(path.parent) as root:
        # nobody else can have named the directory when the data directory is root's
        return _checked(root.open(path.name), path, owner, in_place=owner in (root.status().st_uid, 0))


def _checked(descriptor: int, path: Path, owner: int, *, in_place: bool) -> int:
    """``descriptor``, of a file that belongs to ``owner``, or when it is ``in_place``, that has no other names."""
    try:
        status = os.fstat(descriptor)
        if in_place:
            below.require_one_name(status, path, owner)
        elif status.st_uid != owner:
            raise _belongs_to(path, status.st_uid, owner)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _belongs_to(path: Path, uid: int, owner: int) -> UnsafeFile:
    return UnsafeFile(f"{path} belongs to uid {uid}, and the data directory to uid {owner}", path=str(path))


def _refusal(path: Path, error: UnsafeFile) -> UnsafeFile:
    """``error`` as it is about ``path``, which may be a link to what is wrong."""
    message = error.message
    with contextlib.suppress(OSError):
        message = f"{path} is a symbolic link to {os.readlink(path)}, which is not followed: {message}"
    return UnsafeFile(f"the backup cannot have {path}: {message}", remedy=_REMEDY, path=str(path))
