# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``--copy-back`` and ``--move-back``: a prepared backup to where the option files say."""

from __future__ import annotations

import contextlib

from ..engine.errors import InvalidOption, TargetNotEmpty
from ..engine.errors.wording import Wording
from ..engine.format.family import Family
from ..engine.host.held import give_back_after_kill
from ..engine.host.ownership import resolve_ownership
from ..engine.recovery.backup_directory import read_backup_directory
from ..engine.restore.layout import HostLayout, layout_from_options
from ..engine.restore.place import restore
from ..engine.restore.plan import RestoreOptions, plan_restore
from ..engine.server.printed_options import parse_options
from .messages import ConsoleProgress
from .session import ConsoleSession, stop_on_signals
from .table_main import NOT_EMPTY
from .table_server import LAYOUT_NAMES

_FORCE = "force-non-empty-directories"


def run(session: ConsoleSession, method: str) -> None:
    """Put the backup in place; ``method`` is copy or move. Raises XtrabackupError."""
    stop_on_signals(session, streaming=False)
    try:
        _run(session, method)
    except TargetNotEmpty as error:
        if error.remedy == Wording.of(TargetNotEmpty.default_remedy):
            error.remedy = NOT_EMPTY
        if session.arguments.flag(_FORCE):
            error.message = f"--{_FORCE} is taken for an empty data directory only: {error.message}"
        raise


def _run(session: ConsoleSession, method: str) -> None:
    source = session.target_dir
    layout = _layout(session, read_backup_directory(source, being_moved=True).family)
    ownership, top_mode = resolve_ownership(layout.datadir, layout.user, None, None, None)
    options = RestoreOptions(
        method=method, ownership=ownership, top_mode=top_mode, parallel=session.arguments.number("parallel", 1)
    )
    planned = plan_restore(source, layout, options)
    if not planned.changed:
        give_back_after_kill()
        # a server may have changed the data since: whoever asks for the backup means the backup
        raise TargetNotEmpty(
            f"{layout.datadir} holds data that was restored from this backup before",
            remedy="Move it away first.",
            path=str(layout.datadir),
        )
    with contextlib.closing(ConsoleProgress("restore", session.messages)) as progress:
        result = restore(planned, options, progress)
    for warning in result.warnings:
        session.messages.warn(warning)
    if result.kept:
        session.messages.note(f"kept of this host's own files in the data directory: {', '.join(result.kept)}")
    session.messages.note(f"{result.files} files, {result.bytes} bytes are in place in {layout.datadir}")


def _layout(session: ConsoleSession, family: Family) -> HostLayout:
    options = parse_options(session.server_words)
    known = bool(options)
    for name, _help in LAYOUT_NAMES:
        if name in session.arguments.values:
            options[name.replace("-", "_")] = str(session.arguments.values[name])
    if not options.get("datadir"):
        raise InvalidOption(
            "the data directory is not known",
            remedy="Give --datadir, or name the server's option file with --defaults-file (as the first option).",
            option="datadir",
        )
    return layout_from_options(options, None, family, known=known)
