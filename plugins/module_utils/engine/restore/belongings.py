# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What in a data directory is the host's and not the data's: keys, certificates, configuration. It outlives the data.

Found by the names that servers give such files, by what option files and the configuration of keyrings name, and by
content: a key that is thrown away cannot be had again from any backup of tables.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .. import durable
from ..errors import FormatError, InvalidOption, StorageError
from ..format import strict_json
from ..host.held import Owner, owner_of
from ..host.small_files import read_small
from ..server.named_places import holds_tables
from .copying import Ownership
from .layout import Layout

#: the server's identity goes with the data: a restored server makes a new one
IDENTITY_NAMES = frozenset({"auto.cnf"})

# option files, persisted variables and configuration of components, the manifest of components, TLS, keyrings
_NAMES = re.compile(r".*\.(cnf|pem|key|crt|crl|csr)|mysqld\.my")
_KEYRING_NAMES = re.compile(r".*keyring.*", re.IGNORECASE)
_DATA_NAMES = re.compile(r".*\.(ib[dut]|MY[DI]|MA[DI]|frm|err|log|pid|sock|index|\d{6,})|ib.*|aria_log.*|undo.*|#.*")
_HOME_DIRECTORIES = frozenset({".ssh", ".gnupg"})  # the data directory is the home of the server's account
_LARGEST = 4 << 20  # bytes of a file that may be a key
_PLUGIN_DIRECTORIES = ("/usr/lib/mysql/plugin", "/usr/lib64/mysql/plugin", "/usr/local/mysql/lib/plugin")


def belongings(layout: Layout) -> list[str]:
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
        configurations = [datadir / name for name in found if name.endswith(".cnf")]
        for path in [*configurations, *_global_configurations(layout)]:
            named |= _named_in(path, datadir)
        for path in named:
            found |= {str(one.relative_to(datadir)) for one in _reached(path, datadir)}
    inner = {name for name in found if any(str(parent) in found for parent in Path(name).parents)}
    return sorted(found - inner)


def dropped_identity(layout: Layout) -> list[str]:
    """Names of the files that a replaced server's identity is in."""
    return sorted(name for name in IDENTITY_NAMES if os.path.lexists(layout.datadir / name))


def carry_over(names: Iterable[str], places: Sequence[Path], staged: Path, ownership: Ownership) -> None:
    """Copy the belongings ``names`` to ``staged``, durably, with owner and permissions; each from the first of
    ``places``, the data directory or where it was put aside, that has it.

    What belonged to the owner of the data directory belongs to the new one. May be done again. Raises StorageError.
    """
    for name in names:
        datadir = next((place for place in places if os.path.lexists(place / name)), places[0])
        source, target = datadir / name, staged / name
        with durable.storage_errors("copying", source):
            for parent in reversed(Path(name).parents[:-1]):
                make_like(datadir / parent, staged / parent, ownership)
            if source.is_dir() and not source.is_symlink():
                if target.exists():
                    shutil.rmtree(target)
                shutil.copytree(source, target, symlinks=True)
            else:
                _copy(source, target)
            before = owner_of(datadir)
            for path in [target, *(target.rglob("*") if target.is_dir() and not target.is_symlink() else ())]:
                _own(path, datadir / path.relative_to(staged), before, ownership)
            _sync(target)


def make_like(old: Path, new: Path, ownership: Ownership) -> None:
    """Make the directory ``new`` for the new owner, with the permissions of ``old`` where that is there."""
    ownership.make_directory(new)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        status = old.lstat()
        if stat.S_ISDIR(status.st_mode):
            os.chmod(new, stat.S_IMODE(status.st_mode))


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
    """Belongings in a directory of the data directory that is no database."""
    if entry.name in _HOME_DIRECTORIES:
        yield entry.name
    elif entry.name[0] not in "#" and not entry.name.startswith(".xtrabackup") and not holds_tables(Path(entry.path)):
        for inner in os.scandir(entry.path):
            if not inner.is_dir(follow_symlinks=False) and _is_hosts_own(Path(inner.path)):
                yield f"{entry.name}/{inner.name}"


def _is_hosts_own(path: Path) -> bool:
    """Whether a file or link is, by its name or by what is in it."""
    if _NAMES.fullmatch(path.name):
        return True
    status = path.lstat()
    if _DATA_NAMES.fullmatch(path.name) or (path.is_dir() and holds_tables(path)):
        return False
    if stat.S_ISLNK(status.st_mode):
        return _KEYRING_NAMES.fullmatch(path.name) is not None
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
        return False
    if _KEYRING_NAMES.fullmatch(path.name):
        return True
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return _is_key(file.read(64))
    return False


def _is_key(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is a key, a certificate or a keyring of the plugin or component."""
    compact = head.replace(b" ", b"").replace(b"\n", b"")
    return head.startswith((b"-----BEGIN ", b"Keyring file version:")) or (
        compact.startswith(b'{"version":') and b'"elements"' in compact
    )


def _global_configurations(layout: Layout) -> list[Path]:
    """The configuration of keyring components beside the server's plugins."""
    places = [Path(place) for place in _PLUGIN_DIRECTORIES] if layout.mysql else []
    places += sorted(Path("/usr/lib").glob("*/mysql/plugin")) if layout.mysql else []
    places += [layout.plugin_dir] if layout.plugin_dir else []
    return [path for place in places for path in sorted(place.glob("component_*.cnf"))]


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
    while os.path.lexists(path) and datadir in path.parents:
        if path.is_dir() and not path.is_symlink() and holds_tables(path):
            return
        yield path
        if not path.is_symlink():
            return
        path = Path(os.path.normpath(path.parent / os.readlink(path)))


def _copy(source: Path, target: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        target.unlink()
    if source.is_symlink():
        os.symlink(os.readlink(source), target)
        return
    # nobody else may read it, at no instant
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(source, "rb") as file, os.fdopen(descriptor, "wb") as copy:
        shutil.copyfileobj(file, copy)
    shutil.copystat(source, target)


def _own(path: Path, old: Path, datadir: Owner, ownership: Ownership) -> None:
    """Give the copy ``path`` of ``old`` its owner."""
    status = old.lstat()
    uid = ownership.uid if ownership.uid is not None and status.st_uid == datadir.uid else status.st_uid
    gid = ownership.gid if ownership.gid is not None and status.st_gid == datadir.gid else status.st_gid
    if (path.lstat().st_uid, path.lstat().st_gid) != (uid, gid):
        os.chown(path, uid, gid, follow_symlinks=False)
    if not path.is_symlink():
        # a change of the owner clears bits
        os.chmod(path, stat.S_IMODE(status.st_mode))


def _sync(path: Path) -> None:
    if path.is_symlink():
        durable.fsync_directory(path.parent)
        return
    for one in [path, *(path.rglob("*") if path.is_dir() else ())]:
        if one.is_file() and not one.is_symlink():
            durable.fsync_file(one)
    durable.fsync_tree(path) if path.is_dir() else durable.fsync_directory(path.parent)
