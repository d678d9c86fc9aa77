# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interface of the destinations of a backup: a sink to write to, a description, and what is there already."""

from __future__ import annotations

import abc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypedDict

from ..errors import Option, TargetNotEmpty, TargetUnsafe, XtrabackupError
from ..host.replaceable import holds_backup
from ..sources.registry import source_at
from ..stream.cipher import key_of, read_key_file
from ..stream.codec import Compression
from ..stream.sink import Sink
from ..stream.stream_file import require_sparse_possible


@dataclass(frozen=True)
class Encryption:
    """Encryption of files: ``algorithm`` (AES128, AES192, AES256), with ``key`` (bytes) or that in ``key_file``."""

    algorithm: str
    key_file: str | None = None
    key: bytes | None = field(default=None, repr=False)

    def read_key(self) -> bytes:
        """The key. Raises InvalidOption when it has another length, or when others may read its file; StorageError."""
        if self.key is not None:
            return key_of(self.key, self.algorithm, option="encrypt.key")
        return read_key_file(self.key_file or "", self.algorithm)


class SinkOptions(TypedDict):
    """Options that all sinks of streams take."""

    compress: Compression | None
    encrypt_key: bytes | None
    digests: Sequence[str]
    sparse: bool


@dataclass(frozen=True)
class Encoding:
    """Encoding of the files in a stream or an archive; ``digests`` (names) are those of its own bytes, ``sparse`` that
    holes stay holes. Raises InvalidOption for sparse chunks of what is compressed or encrypted."""

    compress: Compression | None = None
    encryption: Encryption | None = None
    digests: tuple[str, ...] = ()
    sparse: bool = False

    def __post_init__(self) -> None:
        require_sparse_possible(sparse=self.sparse, encoded=bool(self.compress or self.encryption))

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Encoding:
        """The encoding that a module's options ``compress``, ``encrypt``, ``digests`` and ``sparse`` describe."""
        compress, encrypt = options["compress"], options["encrypt"]
        return cls(
            Compression(compress["algorithm"], compress["level"], compress["threads"]) if compress else None,
            Encryption(encrypt["algorithm"], encrypt["key_file"]) if encrypt else None,
            tuple(options["digests"]),
            options["sparse"],
        )

    def read(self) -> SinkOptions:
        """As sinks take it, with the key. Raises what ``Encryption.read_key`` does."""
        return {
            "compress": self.compress,
            "encrypt_key": self.encryption.read_key() if self.encryption else None,
            "digests": self.digests,
            "sparse": self.sparse,
        }


class Destination(abc.ABC):
    """Destination of one backup. A frozen value; nothing is touched before ``open``."""

    #: the path of the backup on this host, None when it goes elsewhere
    path: Path | None = None

    @abc.abstractmethod
    def open(self) -> Sink:
        """Returns the sink for the backup. Raises what the sink does: StorageError, TargetBusy, PeerTimeout and
        others."""

    @abc.abstractmethod
    def describe(self) -> dict[str, Any]:
        """For diff mode: where it is, without secrets."""

    def warnings(self) -> list[str]:
        """Returns the warnings to give before anything is sent there."""
        return []

    def existing(self) -> dict[str, Any] | None:
        """The record of the complete backup that is there already, None where nothing is. Raises TargetNotEmpty when
        something else is there, StorageError."""
        return None


@dataclass(frozen=True)
class PathDestination(Destination):
    """A place on this host, an absolute path; ``force``: a backup that is there is replaced.

    Raises TargetUnsafe for the root directory and a symbolic link, and for a mount point when that cannot be filled.
    """

    path: Path
    force: bool = False

    #: the name in the module's option ``format``
    format: ClassVar[str] = ""
    #: whether an existing directory can be filled, or what is there has to be replaced by a rename
    fills_directories: ClassVar[bool] = False

    def __post_init__(self) -> None:
        path = self.path
        if path.parent == path or path.is_symlink() or (os.path.ismount(path) and not self.fills_directories):
            raise TargetUnsafe(
                f"{Option('dest')}: {path} is the root, a symbolic link or a mount point", path=str(path)
            )

    def describe(self) -> dict[str, Any]:
        return {"dest": str(self.path), "format": self.format}

    def existing(self) -> dict[str, Any] | None:
        """See Destination. With ``force``, a backup that is broken may be replaced, but never what is no backup."""
        if not self.path.exists() or self._is_free():
            return None
        try:
            source = source_at(self.path)
            found = source.require_complete()
            reported = {"path": source.manifest_location, "sha256": found.own_sha256}
            return {**found.record, "path": str(self.path), "manifest": reported}
        except XtrabackupError as error:
            if not holds_backup(self.path):
                raise TargetNotEmpty(
                    f"{self.path} holds something that is no backup: {error}",
                    remedy="Choose another place, or remove what is there yourself.",
                    path=str(self.path),
                ) from error
            if self.force:
                self._require_replaceable()
                return None
            raise TargetNotEmpty(
                f"{self.path} holds a backup that is not complete: {error}", path=str(self.path)
            ) from error

    def _is_free(self) -> bool:
        """Returns whether a path that exists is free all the same, as an empty directory is. Raises TargetNotEmpty for
        what can never be replaced."""
        return False

    def _require_replaceable(self) -> None:
        """Raises TargetUnsafe when what is there cannot be replaced."""


class StreamDestination(Destination):
    """Somebody who takes a stream, named by one key of the module's option ``stream_to``."""

    #: the key in the module's option ``stream_to``
    key: ClassVar[str] = ""

    @classmethod
    @abc.abstractmethod
    def from_option(cls, value: Any, encoding: Encoding) -> StreamDestination:
        """The destination that the ``value`` of its key in ``stream_to`` describes; raises InvalidOption."""
