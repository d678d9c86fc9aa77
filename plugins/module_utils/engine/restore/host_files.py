# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host files in a data directory: keys, certificates, configuration. They outlive the data.

Found by the names that servers give such files, by what option files and the configuration of keyrings name, and by
content: a key that is thrown away cannot be had again from any backup of tables.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import FormatError, InvalidOption, StorageError, UnsafeFile
from ..format import strict_json
from ..format.file_kinds import KEYRING, KINDS, OPTION_FILE_SUFFIX, SERVER_FILE, SERVER_IDENTITY, Restore, pattern_of
from ..format.names import DEEPEST
from ..host import below, durable, trees
from ..host.copying import Ownership, carried_mode
from ..host.held import Owner, owner_of
from ..host.small_files import read_small
from ..server.named_places import holds_tables
from .layout import HostLayout

#: the server's identity goes with the data: a restored server makes a new one
IDENTITY_NAMES = frozenset(SERVER_IDENTITY.names)

# option files, persisted variables and configuration of components, the manifest of components, TLS, keyrings
_NAMES = pattern_of(kind for kind in KINDS if kind.restore is Restore.HOSTS_OWN and kind is not KEYRING)
_HOME_DIRECTORIES = frozenset({".ssh", ".gnupg"})  # the data directory is the home of the server's account
_CHUNK = 1 << 20  # bytes
_LARGEST = 4 << 20  # bytes of a file that may be a key


def host_files(layout: HostLayout) -> list[str]:
    """Paths in the data directory, sorted, of files and directories that are the host's; links are named themselves."""
    datadir = layout.datadir
    if not datadir.is_dir():
        return []
    found: set[str] = set()
    with durable.storage_errors("looking at", datadir):
        for entry in sorted(os.scandir(datadir), key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                found |= set(_in_directory(entry))
            elif entry.name not in IDENTITY_NAMES and _is_hosts_own(Path(entry.path)):
                found.add(entry.name)
        named = set(layout.named.hosts_own)
        configurations = [datadir / name for name in found if name.endswith(OPTION_FILE_SUFFIX)]
        for path in [*configurations, *_global_configurations(layout)]:
            named |= _named_in(path, datadir)
        for path in named:
            found |= {str(one.relative_to(datadir)) for one in _reached(path, datadir)}
        for name in found:
            trees.require_shallow(datadir / name)
    inner = {name for name in found if any(str(parent) in found for parent in Path(name).parents)}
    return sorted(found - inner)


def dropped_identity(layout: HostLayout) -> list[str]:
    """Names of the files that a replaced server's identity is in."""
    return sorted(name for name in IDENTITY_NAMES if os.path.lexists(layout.datadir / name))


def carry_over(names: Iterable[str], places: Sequence[Path], staged: Path, ownership: Ownership) -> None:
    """Copy the host's files ``names`` to ``staged``, durably, with owner and permissions; each from the first of
    ``places``, the data directory or where it was put aside, that has it.

    What belonged to the owner of the data directory belongs to the new one. May be done again. Raises StorageError.
    """
    for name in names:
        datadir = next((place for place in places if os.path.lexists(place / name)), places[0])
        with durable.storage_errors("copying", datadir / name), below.Root(datadir) as root:
            for parent in reversed(Path(name).parents[:-1]):
                make_like(datadir / parent, staged / parent, ownership)
            _Copies(owner_of(datadir), ownership).copy(root, name, staged / name)
            durable.fsync_directory((staged / name).parent)


def make_like(old: Path, new: Path, ownership: Ownership) -> None:
    """Make the directory ``new`` for the new owner, with the permissions of ``old`` where that is there."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        status = old.lstat()
        if stat.S_ISDIR(status.st_mode):
            same = (ownership.uid, ownership.gid) == (status.st_uid, status.st_gid)
            mode = carried_mode(status.st_mode, directory=True, same_owner=same)
            ownership = replace(ownership, directory_mode=mode)
    ownership.make_directory(new)


def require_no_clash(names: list[str], wanted: dict[Path, str], datadir: Path) -> None:
    """Raises InvalidOption when a file of the backup (``wanted``: final place and name) would take the place of one of
    the host's ``names``."""
    for name in names:
        if datadir / name in wanted:
            raise InvalidOption(
                f"{datadir / name} is this host's own, and the backup has a file for that place: "
                f"{wanted[datadir / name]}",
                remedy="Move the host's file to a place outside the data directory, and name that in the option file.",
                path=str(datadir / name),
            )


def _in_directory(entry: os.DirEntry[str]) -> Iterator[str]:
    """Host files in a directory of the data directory that is no database."""
    if entry.name in _HOME_DIRECTORIES:
        yield entry.name
    elif entry.name[0] not in "#" and not entry.name.startswith(".xtrabackup") and not holds_tables(Path(entry.path)):
        for inner in os.scandir(entry.path):
            if not inner.is_dir(follow_symlinks=False) and _is_hosts_own(Path(inner.path)):
                yield f"{entry.name}/{inner.name}"


def _is_hosts_own(path: Path) -> bool:
    """Returns whether a file or link is a host file, by its name or by its content."""
    if _NAMES.fullmatch(path.name):
        return True
    status = path.lstat()
    if SERVER_FILE.matches(path.name) or (path.is_dir() and holds_tables(path)):
        return False
    if stat.S_ISLNK(status.st_mode):
        return KEYRING.matches(path.name.lower())
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
        return False
    if KEYRING.matches(path.name.lower()):
        return True
    with contextlib.suppress(OSError, UnsafeFile), below.reading_file(path) as file:
        return _is_key(file.read(64))
    return False


def _is_key(head: bytes) -> bool:
    """Returns whether a file that begins with ``head`` is a key, a certificate or a keyring of the plugin or
    component."""
    compact = head.replace(b" ", b"").replace(b"\n", b"")
    return head.startswith((b"-----BEGIN ", b"Keyring file version:")) or (
        compact.startswith(b'{"version":') and b'"elements"' in compact
    )


def _global_configurations(layout: HostLayout) -> list[Path]:
    """The configuration of keyring components beside the server's plugins."""
    places = [*layout.usual_plugin_directories(), *([layout.plugin_dir] if layout.plugin_dir else [])]
    return [path for place in places for path in sorted(place.glob(f"component_*{OPTION_FILE_SUFFIX}"))]


def _named_in(path: Path, datadir: Path) -> set[Path]:
    """Paths below ``datadir`` that the JSON file ``path`` names; none for a file of another kind."""
    try:
        # a link is followed: the host's own files may be elsewhere, and only names below ``datadir`` are taken from it
        data = read_small(path, _LARGEST, follow=True).data
        found = strict_json.parse_value(data, str(path), max_bytes=_LARGEST)
        strict_json.require_plain(found, str(path))
    except (OSError, StorageError, FormatError):
        return set()
    places = (Path(os.path.normpath(datadir / text)) for text in _texts(found) if text and "\0" not in text)
    return {place for place in places if datadir in place.parents}


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for child in node.values():
            yield from _texts(child)


def _reached(path: Path, datadir: Path) -> Iterator[Path]:
    """``path``, if it is there, and what it links to, as far as that is in ``datadir``; never a database."""
    seen = set()
    while os.path.lexists(path) and datadir in path.parents and path not in seen:
        seen.add(path)
        # a link of a directory on the way is kept as such
        above = [one for one in reversed(path.parents) if datadir in one.parents]
        link = next((one for one in (*above, path) if one.is_symlink()), None)
        if link is None:
            if not (path.is_dir() and holds_tables(path)):
                yield path
            return
        yield link
        path = Path(os.path.normpath(link.parent / os.readlink(link) / path.relative_to(link)))


@dataclass(frozen=True)
class _Copies:
    """Copies what is the host's, durably: links, which lead where they led. ``datadir`` is whose the old data
    directory is when nobody holds it: what belonged to its owner belongs to the new one."""

    datadir: Owner
    ownership: Ownership

    def copy(self, root: below.Root, name: str, target: Path, depth: int = 0) -> None:
        """Copy ``name`` in ``root`` to ``target``, whose directory only root can write to."""
        durable.remove_tree(target)
        status = root.status(name)
        if stat.S_ISDIR(status.st_mode):
            self._copy_directory(root, name, target, depth)
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(root.read_link(name), target)
            os.chown(target, *self._owner(status), follow_symlinks=False)
        else:
            self._copy_file(root, name, target)

    def _copy_directory(self, root: below.Root, name: str, target: Path, depth: int) -> None:
        if depth > DEEPEST:
            raise trees.too_deep(root.path, root.path / name)
        target.mkdir(mode=0o700)
        with root.directory(name) as source:
            for entry in source.names():
                # sockets and FIFOs are of processes that run
                if stat.S_IFMT(source.status(entry).st_mode) in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
                    self.copy(source, entry, target / entry, depth + 1)
            made = below.open_directory(target)
            try:
                self._finish(made, source.status())
            finally:
                os.close(made)

    def _copy_file(self, root: below.Root, name: str, target: Path) -> None:
        # nobody else may read it, at no instant
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as copy, os.fdopen(root.open(name), "rb") as source:
            status = os.fstat(source.fileno())
            below.require_one_name(status, root.path / name, self.datadir.uid)
            while data := source.read(_CHUNK):
                copy.write(data)
            copy.flush()
            os.utime(copy.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
            self._finish(copy.fileno(), status)

    def _finish(self, descriptor: int, status: os.stat_result) -> None:
        """Give the copy its owner and the permissions of the original, whose ``status`` this is."""
        owner = self._owner(status)
        os.fchown(descriptor, *owner)
        same = owner == (status.st_uid, status.st_gid)
        os.fchmod(descriptor, carried_mode(status.st_mode, directory=stat.S_ISDIR(status.st_mode), same_owner=same))
        os.fsync(descriptor)

    def _owner(self, status: os.stat_result) -> tuple[int, int]:
        uid, gid = self.ownership.uid, self.ownership.gid
        return (
            status.st_uid if uid is None or status.st_uid != self.datadir.uid else uid,
            status.st_gid if gid is None or status.st_gid != self.datadir.gid else gid,
        )
