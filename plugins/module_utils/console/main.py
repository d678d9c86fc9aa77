# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands: who is asked, what for, and how it ended."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback

from ..engine import job_log
from ..engine.errors import InvalidOption, XtrabackupError
from . import help as help_texts
from . import process_list, standard_output
from .dialects import BACKUP, DIALECTS, ToolDialect, choose
from .messages import ConsoleLog, Messages
from .option import ACTION
from .parser import UnknownOption
from .session import ConsoleSession, raise_limits, read
from .tables import options_of

_FAILED = 1
_MISUSED = 2


def main() -> int:
    """Run the program that was called; returns its exit status."""
    standard_output.open_missing()
    if sys.stderr is None:
        # closed by whoever started us: what is said goes nowhere, and that is no reason to fail
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    output = standard_output.take()
    try:
        if len(sys.argv) == 3 and sys.argv[1] == "manual" and sys.argv[2] in DIALECTS:
            standard_output.write(output, help_texts.manual(DIALECTS[sys.argv[2]]))
            return 0
        if sys.argv[1:] == ["documentation"]:
            standard_output.write(output, help_texts.documentation())
            return 0
        dialect, words = choose(sys.argv)
    except InvalidOption as error:
        sys.stderr.write(f"{error.message}. {error.remedy}\n")
        return _MISUSED
    messages = Messages(dialect)
    if not process_list.blank(words, options_of(dialect)):
        messages.warn("the secret on the command line could not be hidden from the process list: use an option file")
    try:
        return _run(dialect, words, messages, output)
    except UnknownOption as error:
        messages.fail(error)
        return _MISUSED
    except XtrabackupError as error:
        messages.fail(error)
    except KeyboardInterrupt:
        messages.fail(XtrabackupError("interrupted"))
    except OSError as error:
        messages.fail(XtrabackupError(f"{error}"))
    except Exception:  # noqa: BLE001 - whatever it is, the job has failed and must say so
        traceback.print_exc()
        messages.fail(XtrabackupError("an error of this program, shown above"))
    return _FAILED


def _run(dialect: ToolDialect, words: list[str], messages: Messages, output: int) -> int:
    session = read(dialect, words, messages, output)
    arguments = session.arguments
    if arguments.flag("help") or not (words or arguments.values):
        standard_output.write(output, help_texts.text(dialect))
        return 0
    if arguments.flag("version"):
        standard_output.write(output, help_texts.version(dialect))
        return 0
    if session.files.print_defaults:
        standard_output.write(output, _defaults(session, words))
        return 0
    action = _action(session)
    for warning in dict.fromkeys(arguments.warnings):
        messages.warn(warning)
    raise_limits(arguments)
    # of streams, --verbose names the files
    verbose = dialect.tool == BACKUP and arguments.flag("verbose")
    with job_log.attached(ConsoleLog(messages)) if verbose else contextlib.nullcontext():
        _act(session, action)
    if dialect.tool == BACKUP:
        messages.note("completed OK!")
    return 0


def _action(session: ConsoleSession) -> str:
    """The one thing that is to be done. Raises InvalidOption."""
    options = options_of(session.dialect)
    said = session.said.values
    wanted = [name for name, value in said.items() if options[name].kind == ACTION and value is True]
    if not wanted and session.dialect.tool == BACKUP:
        # may stand in an option file, as any other option
        wanted = [
            name for name, value in session.arguments.values.items() if options[name].kind == ACTION and value is True
        ]
    unpacking = said.get("decompress") is True or "decrypt" in said
    if not wanted and session.dialect.tool == BACKUP and unpacking:
        return "unpack"
    if len(wanted) == 1 and not (unpacking and session.dialect.tool == BACKUP):
        return wanted[0]
    actions = ", ".join(f"--{option.name}" for option in options.values() if option.kind == ACTION)
    raise InvalidOption(
        f"exactly one of these says what to do: {actions}"
        + (f"; here are {', '.join('--' + name for name in wanted)}" if wanted else ""),
        remedy="--help lists the options.",
    )


def _act(session: ConsoleSession, action: str) -> None:
    # imported when needed: an archive is unpacked without what talks to servers
    if action == "backup":
        from . import backup  # noqa: PLC0415

        backup.run(session)
    elif action == "prepare":
        from . import recovery  # noqa: PLC0415

        recovery.run_prepare(session)
    elif action == "unpack":
        from . import recovery  # noqa: PLC0415

        recovery.run_unpack(session)
    elif action in ("copy-back", "move-back"):
        from . import restore  # noqa: PLC0415

        restore.run(session, action.partition("-")[0])
    else:
        from . import stream  # noqa: PLC0415

        (stream.run_extract if action == "extract" else stream.run_create)(session)


def _defaults(session: ConsoleSession, words: list[str]) -> str:
    """Returns the text of ``--print-defaults``; passwords are not shown."""
    logins = session.files.client_words(session.dialect)
    seen = [*session.server_words, *logins]
    own = [word for word in session.files.own_words(session.dialect) if word not in seen]
    rest = [word for word in words if not word.startswith(("--print", "--defaults", "--no-defaults"))]
    options = options_of(session.dialect)
    shown = []
    for word in [*dict.fromkeys(seen), *own, *rest]:
        hidden = next(iter(process_list.secrets_in([word], options)), None)
        shown.append(word if hidden is None else word[: hidden[1]] + "*****")
    return f"{session.dialect.program} would have been started with the following arguments:\n{' '.join(shown)} \n"
