# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of a command: what was asked for, by whom, and where its output goes."""

from __future__ import annotations

import getpass
import os
import resource
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..engine.errors import Cancelled, InvalidOption, PeerFailed
from ..engine.server.connection import ConnectionParameters
from ..engine.stream.cipher import key_of, read_key_file
from ..engine.units import is_digits
from . import standard_output
from .dialects import BACKUP, ToolDialect
from .messages import Messages
from .option import ASK
from .option_files import OptionFiles, split
from .parser import Arguments, Parser
from .table_server import LAYOUT_NAMES, LOGIN
from .tables import options_of

DEFAULT_TARGET = "./xtrabackup_backupfiles/"


@dataclass
class ConsoleSession:
    """``output``: the descriptor of standard output. ``said``: the options that the command line itself has."""

    dialect: ToolDialect
    arguments: Arguments
    messages: Messages
    output: int
    files: OptionFiles = field(default_factory=OptionFiles)
    said: Arguments = field(default_factory=Arguments)
    server_words: list[str] = field(default_factory=list)

    @property
    def target_dir(self) -> Path:
        """The backup's directory: of the option, or the only word without one."""
        words = self.arguments.words
        given = self.said.text("target-dir")
        if len(words) > 1 or (words and given):
            raise InvalidOption(f"unknown argument: '{words[-1]}'", option=words[-1])
        return Path(words[0] if words else given or self.arguments.text("target-dir") or DEFAULT_TARGET)

    def key(self, algorithm: str | None) -> bytes:
        """The key that was given, for ``algorithm``. Raises InvalidOption unless there is exactly one, of that size."""
        text, path = self.arguments.text("encrypt-key"), self.arguments.text("encrypt-key-file")
        if (text is None) == (path is None):
            raise InvalidOption(
                "exactly one of --encrypt-key-file and --encrypt-key is needed", option="encrypt-key-file"
            )
        if path is not None:
            return read_key_file(path, algorithm, option="--encrypt-key-file")
        return key_of(str(text).encode("utf-8", "surrogateescape"), algorithm, option="--encrypt-key")


def read(dialect: ToolDialect, words: list[str], messages: Messages, output: int) -> ConsoleSession:
    """The session that a command line and the option files ask for. Raises InvalidOption."""
    options = options_of(dialect)
    parser = Parser(options)
    if dialect.tool != BACKUP:
        arguments = Arguments()
        parser.command_line(words, arguments)
        return ConsoleSession(dialect, arguments, messages, output, said=arguments)
    files, words = split(words)
    said = Arguments()
    parser.command_line(words, said)
    arguments = Arguments(words=said.words, warnings=list(said.warnings))
    session = ConsoleSession(dialect, arguments, messages, output, files, said)
    if said.flag("help") or said.flag("version"):
        arguments.values.update(said.values)
        return session
    parser.own_group(files.own_words(dialect), arguments)
    session.server_words = files.server_words(dialect)
    layout = {name for name, _help in LAYOUT_NAMES}
    own = dict(arguments.values)
    parser.shared_group(session.server_words, {*layout, "open-files-limit"}, arguments)
    arguments.values.update(own)
    parser.shared_group(files.client_words(dialect), {option.name for option in LOGIN}, arguments)
    arguments.values.update(said.values)
    return session


def login(session: ConsoleSession) -> ConnectionParameters:
    """Returns how to reach the server; asks for the password when an option says so. Raises InvalidOption."""
    arguments = session.arguments
    password = arguments.values.get("password", os.environ.get("MYSQL_PWD"))
    if password == ASK:
        password = _ask_for_password()
    socket, port, host = arguments.text("socket"), arguments.number("port") or None, arguments.text("host")
    protocol = arguments.text("protocol")
    if host in (None, "localhost") and protocol != "tcp" and port is None:
        socket = socket or os.environ.get("MYSQL_UNIX_PORT") or None
    elif port is None:
        port = _port_of_environment()
    if protocol == "tcp" or (host not in (None, "localhost") and session.said.text("socket") is None):
        socket = None
    if protocol == "tcp":
        host, port = host or "127.0.0.1", port or 3306
    if protocol == "socket" or socket is not None:
        host = port = None
    return ConnectionParameters(
        user=arguments.text("user"),
        password=None if password is None else str(password),
        host=host,
        port=port,
        unix_socket=socket,
        config_file="",
        **_tls(arguments),
    )


def _port_of_environment() -> int | None:
    text = os.environ.get("MYSQL_TCP_PORT", "")
    return int(text) or None if is_digits(text) else None


def _ask_for_password() -> str:
    try:
        if not sys.stdin or not sys.stdin.isatty():
            os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))  # not from a pipe, which may stay silent for ever
        return getpass.getpass("Enter password: ")
    except (EOFError, OSError) as error:
        raise InvalidOption(
            "--password without a value asks for it, and there is no terminal to ask at",
            remedy="Put the password into an option file that only its owner can read, or say --password=... (nothing "
            "after the = for none).",
            option="password",
        ) from error


def _tls(arguments: Arguments) -> dict[str, Any]:
    mode = arguments.text("ssl-mode")
    required = arguments.values.get("ssl") is True or mode in ("REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
    authority = arguments.text("ssl-ca")
    if arguments.values.get("ssl") is False or mode == "DISABLED":
        return {}
    if required and authority is None:
        raise InvalidOption(
            "TLS is asked for without --ssl-ca: nobody would know who answers", option="ssl-ca",
            remedy="Give --ssl-ca=FILE, or connect through the socket.",
        )  # fmt: skip
    verify = arguments.values.get("ssl-verify-server-cert", True) is not False and mode != "VERIFY_CA"
    return {
        "ca_cert": authority,
        "client_cert": arguments.text("ssl-cert"),
        "client_key": arguments.text("ssl-key"),
        "verify_host": verify,
    }


def raise_limits(arguments: Arguments) -> None:
    """Allow as many open files as were asked for, as far as the system does."""
    wanted = arguments.number("open-files-limit")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


def stop_on_signals(session: ConsoleSession, *, streaming: bool) -> None:
    """Have signals end the job as errors, so that locks are released and what is half done is removed; when
    ``streaming``, also the end of whoever reads standard output, even while nothing is written."""

    def stop(number: int, _frame: Any) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise Cancelled(f"stopped by signal {signal.Signals(number).name}")

    def broken(number: int, _frame: Any) -> None:
        # a lost connection to the server comes with the same signal
        if standard_output.is_broken(session.output):
            signal.signal(number, signal.SIG_IGN)
            raise PeerFailed(
                "standard output: whoever reads the stream has stopped (broken pipe)",
                remedy="Look at the error of the next command of the pipeline; what it has got is incomplete.",
            )

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    if streaming:
        signal.signal(signal.SIGPIPE, broken)
