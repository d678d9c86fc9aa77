# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``xbstream`` and ``mbstream``: streams unpacked and made."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..engine.errors import InvalidOption, StreamTruncated
from ..engine.format.file_kinds import MANIFEST_NAME
from ..engine.format.names import STATE_NAME
from ..engine.format.state_names import state_names
from ..engine.host import durable
from ..engine.host.filling import require_finished
from ..engine.host.trees import files_below
from ..engine.innodb.tablespace import compressed_page_size
from ..engine.sources.descriptor import DescriptorSource
from ..engine.stream import xbstream
from ..engine.stream.archive import Channel
from ..engine.stream.descriptor_sink import DescriptorChannel
from ..engine.stream.entry import Decoding
from ..engine.stream.extract import Extractor
from ..engine.stream.extract_options import ExtractOptions
from ..engine.stream.key_proof import NOT_AUTHENTICATED
from ..engine.stream.staging import staging_inside
from ..engine.stream.stream_file import EntryChunks, StreamFile
from ..engine.stream.unpack_directory import is_ours
from ..engine.units import some_of
from .session import ConsoleSession, stop_on_signals

_READ_SIZE = 4 << 20  # bytes
_INPUT = DescriptorSource()


def run_extract(session: ConsoleSession) -> None:
    """Unpack standard input into a directory that exists. Raises XtrabackupError."""
    stop_on_signals(session, streaming=False)
    arguments = session.arguments
    if arguments.words:
        raise InvalidOption(f"unknown argument: '{arguments.words[0]}' (all of a stream is unpacked)")
    algorithm = arguments.text("decrypt")
    key = session.key(algorithm) if algorithm else None
    decoding = Decoding(decompress=arguments.flag("decompress"), decrypt=algorithm is not None)
    threads = ("parallel", "decompress-threads", "encrypt-threads")
    with staging_inside(arguments.text("directory") or ".") as staging:
        options = ExtractOptions(
            key,
            max(arguments.number(name, 1) for name in threads),
            require_manifest=False,
            page_size_of=compressed_page_size,
            decoding=decoding,
            any_files=True,
        )
        extractor = Extractor(staging, options, where=_INPUT.location)
        try:
            with _INPUT.reading() as reading:
                extractor.run([extractor.reader(reading, _INPUT.location)])
            manifest = extractor.finish()
        except BaseException as error:
            extractor.abort(error)
            raise
        _require_complete(staging)
        if key is not None and manifest is None:
            session.messages.warn(NOT_AUTHENTICATED)
        if arguments.flag("verbose"):
            for name in files_below(staging):
                session.messages.note(name)


def _require_complete(staging: Path) -> None:
    """Raises StreamTruncated for a stream that ended between two entries."""
    files = files_below(staging)
    if not files:
        raise StreamTruncated(
            f"{_INPUT.location}: an empty stream",
            remedy="Whoever should have sent it has failed: look at its error.",
            where=_INPUT.location,
        )
    if is_ours(staging) and not (staging / MANIFEST_NAME).exists():
        raise StreamTruncated(
            f"{_INPUT.location}: ends before {MANIFEST_NAME}, the last file of every complete backup of ours",
            remedy="The sending side stopped early: look at its error. Nothing was unpacked.",
            where=_INPUT.location,
        )


def run_create(session: ConsoleSession) -> None:
    """Send the named files to standard output. Raises XtrabackupError."""
    stop_on_signals(session, streaming=True)
    arguments = session.arguments
    if not arguments.words:
        raise InvalidOption("name the files that are to be sent")
    directory = Path(arguments.text("directory") or ".")
    require_finished(directory)
    channel = DescriptorChannel(session.output, "standard output")
    names = [_safe(name) for name in arguments.words]
    if state := state_names(names):
        raise InvalidOption(
            f"{some_of(state)}: {STATE_NAME}",
            remedy="Leave it out: it tells of one directory only.",
        )
    for name in names:
        if not stat.S_ISREG(_status(directory / name).st_mode):
            raise InvalidOption(f"{name} is not a regular file")
    for name in names:
        if arguments.flag("verbose"):
            session.messages.note(name)
        _send(directory / name, name, channel)
    channel.finish()


def _status(path: Path) -> os.stat_result:
    with durable.storage_errors("looking at", path):
        return path.stat()


def _safe(name: str) -> str:
    normal = os.path.normpath(name)
    if os.path.isabs(normal) or normal.split("/")[0] == "..":
        raise InvalidOption(f"{name} is not inside the directory", remedy="Name files in it, or another one with -C.")
    return normal


def _send(path: Path, name: str, channel: Channel) -> None:
    entry = EntryChunks(xbstream.encode_path(name), channel.write, _ended, None)
    target = StreamFile(name, name, entry)
    with durable.storage_errors("reading", path), open(path, "rb", buffering=0) as source:
        while data := source.read(_READ_SIZE):
            target.write(data)
    target.close()


def _ended(_digest: bytes) -> None:
    return
