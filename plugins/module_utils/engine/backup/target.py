# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a backup is wanted: what is there already, and the sink that takes a new one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import manifest
from ..destination import is_fillable, require_renamable
from ..errors import InvalidOption, NotABackup, TargetNotEmpty, TargetUnsafe, XtrabackupError
from ..host.replaceable import holds_backup
from ..progress import Progress
from ..stream.archive import ArchiveSink
from ..stream.cipher import key_of, read_key_file
from ..stream.codec import Compression
from ..stream.descriptor_sink import DescriptorSink
from ..stream.listing import list_archive
from ..stream.packed_directory import PackedDirectorySink
from ..stream.sink import DirectorySink, Sink
from ..stream.stream_file import check_sparse
from ..transport.command import CommandSink
from ..transport.tcp_sender import TcpSink, TcpTarget
from ..transport.tls_sender import TlsSink, TlsTarget
from ..units import parse_duration
from .job import BackupOptions, take_backup


@dataclass(frozen=True)
class Target:
    """A directory or an archive at ``dest``, or a stream. ``options`` are the module's own; the command line's
    ``format`` may be ``packed``, too: a directory whose files are compressed or encrypted, each one for itself."""

    options: Mapping[str, Any]
    dest: Path | None

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Target:
        """The target that a module's options describe; raises InvalidOption or TargetUnsafe."""
        if options["parallel"] < 1:
            raise InvalidOption(f"parallel: {options['parallel']} is not a number of files", option="parallel")
        if options["digests"] and options["dest"] is not None and options["format"] == "directory":
            raise InvalidOption(
                "digests: only an archive or a stream has digests of its own; the manifest has those of the files",
                remedy="Say format: xbstream or stream_to, or leave digests out.",
                option="digests",
            )
        check_sparse(sparse=options["sparse"], encoded=bool(options["compress"] or options["encrypt"]))
        if options["dest"] is None:
            return cls(options, None)
        dest = Path(os.path.abspath(options["dest"]))
        is_directory = options["format"] in ("directory", "packed")
        if dest.parent == dest or dest.is_symlink() or (os.path.ismount(dest) and not is_directory):
            raise TargetUnsafe(f"dest: {dest} is the root, a symbolic link or a mount point", path=str(dest))
        if options["format"] == "directory":
            for name in ("compress", "encrypt"):
                if options[name] is not None:
                    raise InvalidOption(
                        f"{name}: a directory keeps its files as they are",
                        remedy=f"Say format: xbstream, or leave {name} out.",
                        option=name,
                    )
            if options["sparse"]:
                raise InvalidOption(
                    "sparse: a directory keeps holes as they are",
                    remedy="Say format: xbstream, or leave sparse out.",
                    option="sparse",
                )
        return cls(options, dest)

    @property
    def is_directory(self) -> bool:
        """Whether the backup becomes a plain directory."""
        return self.dest is not None and self.options["format"] in ("directory", "packed")

    def existing(self) -> dict[str, Any] | None:
        """The record of the complete backup that is there already, None where nothing is.

        Raises TargetNotEmpty when ``dest`` holds anything else: with ``force``, a backup that is broken may be
        replaced, but never what is no backup at all.
        """
        if self.dest is None or not self.dest.exists():
            return None
        if self.is_directory and is_fillable(self.dest):
            return None
        if not self.is_directory and self.dest.is_dir():
            raise TargetNotEmpty(
                f"{self.dest} is a directory, an archive cannot take its place",
                remedy="Name the file that is to be written.",
                path=str(self.dest),
            )
        try:
            found = self._manifest(self.dest)
            return {**found.record, "path": str(self.dest), "manifest": self._manifest_facts(self.dest, found)}
        except XtrabackupError as error:
            if not holds_backup(self.dest):
                raise TargetNotEmpty(
                    f"{self.dest} holds something that is no backup: {error}",
                    remedy="Choose another place, or remove what is there yourself.",
                    path=str(self.dest),
                ) from error
            if self.options["force"]:
                if self.is_directory:
                    require_renamable(self.dest)
                return None
            raise TargetNotEmpty(
                f"{self.dest} holds a backup that is not complete: {error}", path=str(self.dest)
            ) from error

    def warnings(self) -> list[str]:
        """What to know about this target before anything is sent to it."""
        tcp = (self.options["stream_to"] or {}).get("tcp")
        if tcp is None:
            return []
        receiver = f"{tcp['host']}:{tcp['port']}"
        if self.options["encrypt"] is not None:
            return [f"stream_to.tcp: whoever answers at {receiver} is not authenticated and gets the encrypted backup"]
        plain = f"stream_to.tcp: the backup travels unencrypted, to whoever answers at {receiver}"
        return [f"{plain}; with stream_to.tls it is encrypted and both ends prove who they are"]

    def take(self, options: BackupOptions, progress: Progress) -> dict[str, Any]:
        """Take a backup into this target; returns its record."""
        if self.dest is None:
            return take_backup(options, self._stream_sink(), progress)
        sink: Sink
        if self.options["format"] == "packed":
            sink = PackedDirectorySink(self.dest, compress=self._compression(), encrypt_key=self._encrypt_key())
            return take_backup(options, sink, progress)
        if self.is_directory:
            return take_backup(options, DirectorySink(self.dest, replace=self.options["force"]), progress)
        sink = ArchiveSink(
            self.dest,
            compress=self._compression(),
            encrypt_key=self._encrypt_key(),
            digests=self.options["digests"],
            sparse=self.options["sparse"],
        )
        return take_backup(options, sink, progress)

    def _manifest(self, dest: Path) -> manifest.Manifest:
        if dest.is_dir():
            found = manifest.read(dest)
            manifest.verify_directory(dest, found, digests=False)
            return found
        listed = list_archive(dest).manifest
        if listed is None:
            raise NotABackup(f"{dest} holds no {manifest.MANIFEST_NAME}", path=str(dest))
        return listed

    def _manifest_facts(self, dest: Path, found: manifest.Manifest) -> dict[str, str]:
        path = dest / manifest.MANIFEST_NAME if dest.is_dir() else dest
        return {"path": str(path), "sha256": found.own_sha256}

    def _stream_sink(self) -> Sink:
        stream_to = self.options["stream_to"]
        compress, key, digests = self._compression(), self._encrypt_key(), self.options["digests"]
        sparse = self.options["sparse"]
        if stream_to.get("descriptor") is not None:
            return DescriptorSink(stream_to["descriptor"], compress=compress, encrypt_key=key)
        if stream_to["command"] is not None:
            commands = [[str(word) for word in command] for command in stream_to["command"]]
            return CommandSink(commands, compress=compress, encrypt_key=key, digests=digests, sparse=sparse)
        if stream_to["tcp"] is not None:
            tcp = stream_to["tcp"]
            listener = TcpTarget(
                tcp["host"],
                tcp["port"],
                timeout=parse_duration(tcp["timeout"], "stream_to.tcp.timeout"),
                connect_timeout=parse_duration(tcp["connect_timeout"], "stream_to.tcp.connect_timeout"),
            )
            return TcpSink(listener, compress=compress, encrypt_key=key, digests=digests, sparse=sparse)
        tls = stream_to["tls"]
        receiver = TlsTarget(
            tls["host"],
            tls["port"],
            tls["credentials"],
            connections=tls["connections"],
            timeout=parse_duration(tls["timeout"], "stream_to.tls.timeout"),
            connect_timeout=parse_duration(tls["connect_timeout"], "stream_to.tls.connect_timeout"),
        )
        return TlsSink(receiver, compress=compress, encrypt_key=key, digests=digests, sparse=sparse)

    def _compression(self) -> Compression | None:
        wanted = self.options["compress"]
        return Compression(wanted["algorithm"], wanted["level"], wanted["threads"]) if wanted else None

    def _encrypt_key(self) -> bytes | None:
        wanted = self.options["encrypt"]
        if wanted and wanted.get("key") is not None:
            return key_of(wanted["key"], wanted["algorithm"], option="encrypt.key")
        return read_key_file(wanted["key_file"], wanted["algorithm"]) if wanted else None

    def facts(self, record: Mapping[str, Any] | None) -> dict[str, Any]:
        """The state for diff mode before the run, ``record`` being what was found."""
        return {"state": "absent"} if record is None else {"state": "present", **self._place()}

    def wanted_facts(self) -> dict[str, Any]:
        """The state for diff mode after the run."""
        return {"state": "present", **self._place()}

    def _place(self) -> dict[str, Any]:
        if self.dest is not None:
            return {"dest": str(self.dest), "format": self.options["format"]}
        stream_to = self.options["stream_to"]
        if stream_to["command"] is not None:
            return {"stream_to": "command"}
        receiver = stream_to["tcp"] or stream_to["tls"]
        return {"stream_to": f"{receiver['host']}:{receiver['port']}"}
