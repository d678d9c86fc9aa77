# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``--prepare``, ``--decompress``, ``--decrypt``: what is done to a backup directory where it is."""

from __future__ import annotations

import contextlib

from ..engine.errors import InvalidOption
from ..engine.format.file_kinds import MANIFEST_NAME
from ..engine.innodb.tablespace import compressed_page_size
from ..engine.recovery.backup_directory import was_recovered
from ..engine.recovery.prepare import PrepareOptions, prepare
from ..engine.sources.place import DirectorySource
from ..engine.stream import cipher
from ..engine.stream.entry import Decoding
from ..engine.stream.key_proof import NOT_AUTHENTICATED
from ..engine.stream.unpack_directory import UnpackOptions, unpack_directory
from .messages import ConsoleProgress
from .parser import Arguments
from .session import ConsoleSession, stop_on_signals


def run_prepare(session: ConsoleSession) -> None:
    """Prepare the backup in place. Raises XtrabackupError."""
    stop_on_signals(session, streaming=False)
    arguments = session.arguments
    options = PrepareOptions(
        use_memory=_memory(arguments),
        parallel=arguments.number("parallel", 1),
        server_program=arguments.text("server-program"),
        keyring_file=arguments.text("keyring-file"),
    )
    with contextlib.closing(ConsoleProgress("prepare", session.messages)) as progress:
        result = prepare(session.target_dir, None, options, progress)
    for warning in result.warnings:
        session.messages.warn(warning)
    if result.report is None:
        session.messages.note(f"{session.target_dir} is prepared already.")
        return
    session.messages.note(
        f"Recovered to LSN {result.report.recovered_lsn} by {result.report.server_version}; "
        f"{result.report.rolled_back} transactions rolled back"
    )


def _memory(arguments: Arguments) -> str:
    share = arguments.number("use-free-memory-pct")
    if share > 100:
        raise InvalidOption(f"--use-free-memory-pct: {share} per cent", option="use-free-memory-pct")
    size = arguments.number("use-memory")
    if size:
        return str(size)
    return f"{share}%" if share else "auto"


def run_unpack(session: ConsoleSession) -> None:
    """Decrypt, decompress or both, in place. Raises XtrabackupError."""
    stop_on_signals(session, streaming=False)
    arguments = session.arguments
    algorithm = arguments.text("decrypt")
    directory = session.target_dir
    DirectorySource(directory).require_there()
    options = UnpackOptions(
        decoding=Decoding(decompress=arguments.flag("decompress"), decrypt=algorithm is not None),
        decrypt_key=session.key(algorithm) if algorithm else None,
        parallel=max(arguments.number("parallel", 1), arguments.number("decompress-threads", 1)),
        remove_original=arguments.flag("remove-original"),
        page_size_of=compressed_page_size,
        was_recovered=was_recovered,
    )
    with contextlib.closing(ConsoleProgress("unpack", session.messages)) as progress:
        names = unpack_directory(directory, options, progress)
    if any(name.endswith(cipher.SUFFIX) for name in names) and not (directory / MANIFEST_NAME).exists():
        session.messages.warn(NOT_AUTHENTICATED)
    session.messages.note(f"{len(names)} files unpacked" if names else "there was nothing left to unpack")
