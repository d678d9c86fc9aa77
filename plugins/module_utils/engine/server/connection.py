# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to a server: who and where (from parameters and option files), statements, typed errors."""

from __future__ import annotations

import logging
import os
import pwd
import re
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import libraries
from ..addresses import endpoint
from ..errors import ConnectionFailed, InvalidOption, ServerError
from ..format.family import flavor_of
from ..units import is_digits
from . import login_channel, session
from .login_remedies import is_refused_login, missing_library, remedy_of
from .option_file import read_options

_log = logging.getLogger(__name__)

CLIENT_GROUPS = ("client", "client-server", "client-mariadb", "mariadb-backup", "mariabackup", "xtrabackup")
# where the packages of Debian and Red Hat put the server's socket
DEFAULT_SOCKETS = ("/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock")
DEFAULT_PORT = 3306
DEFAULT_CONNECT_TIMEOUT = 30

# Errors of the client library that mean: there is no connection (any more).
_CONNECTION_ERRNOS = {0, 2000, 2001, 2002, 2003, 2005, 2006, 2012, 2013, 2014, 2026, 2027, 2055}
_CANNOT_CONNECT = 2003  # CR_CONN_HOST_ERROR
_LOST_BY_KILL = 1927  # ER_CONNECTION_KILLED
_ACCOUNT_ERRNOS = {1226, 1820}  # limits of the account, and its expired password, are told at any statement
_UNKNOWN_PLUGIN = 2059  # CR_AUTH_PLUGIN_CANNOT_LOAD
_PARSE_ERROR = 1064
_HIDDEN = "********"
_LONGEST_SHOWN = 300  # characters of a statement in a message
_COUNTED = "rows_counted"
_SHOWN_WHOLE = 1000  # bytes; values below are never cut


@dataclass(frozen=True)
class ConnectionParameters:
    """Parameters of a connection. None means: not given here, so the option file or the default decides.

    ``config_file`` None means ``~/.my.cnf`` when that exists; "" means no option file. ``connect_timeout`` in
    seconds. TLS is used on TCP connections when any of ``ca_cert``, ``client_cert``, ``client_key`` is known, and with
    ``tls``.
    ``verify_by_host``: without ``ca_cert``, the authorities of this host must have signed the server's certificate.
    ``server_pid``: the process that must be at the other end of the socket.
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    host: str | None = None
    port: int | None = None
    unix_socket: str | None = None
    config_file: str | None = None
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    connect_timeout: int | None = None
    verify_host: bool = True
    tls: bool = False
    verify_by_host: bool = False
    server_pid: int | None = None

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> ConnectionParameters:
        """The parameters in a module's login options (login_user, login_password, ..., connect_timeout)."""
        return cls(
            user=options.get("login_user"),
            password=options.get("login_password"),
            host=options.get("login_host"),
            port=options.get("login_port"),
            unix_socket=options.get("login_unix_socket"),
            config_file=options.get("config_file"),
            ca_cert=options.get("ca_cert"),
            client_cert=options.get("client_cert"),
            client_key=options.get("client_key"),
            connect_timeout=options.get("connect_timeout"),
        )

    def resolved(self) -> ConnectionParameters:
        """These parameters with what the option file and the defaults add: either a socket or host and port.

        Raises StorageError or InvalidOption when the option file cannot be read.
        """
        merged = self._merged(self._file_options())
        if merged.unix_socket is None and merged.host in (None, "localhost") and merged.port is None:
            # as the stock clients: localhost means the socket, unless a port was asked for
            found = next((path for path in DEFAULT_SOCKETS if os.path.exists(path)), None)
            merged = replace(merged, unix_socket=found)
        if merged.unix_socket is not None:
            return replace(merged, host=None, port=None)
        host = "127.0.0.1" if merged.host in (None, "localhost") else merged.host
        return replace(merged, host=host, port=merged.port or DEFAULT_PORT)

    def _merged(self, options: Mapping[str, str]) -> ConnectionParameters:
        # a place that was said explicitly hides every place in the file: a host must not meet the file's socket
        place_said = self.host is not None or self.unix_socket is not None
        places: Mapping[str, str] = {} if place_said else options
        port = self.port
        if port is None and self.unix_socket is None:
            port = _number(options, "port")
        return replace(
            self,
            user=self.user or options.get("user") or _own_name(),
            password=self.password if self.password is not None else options.get("password", ""),
            host=self.host or places.get("host"),
            port=port,
            unix_socket=self.unix_socket or places.get("socket"),
            ca_cert=self.ca_cert or options.get("ssl_ca"),
            client_cert=self.client_cert or options.get("ssl_cert"),
            client_key=self.client_key or options.get("ssl_key"),
            connect_timeout=self.connect_timeout or _number(options, "connect_timeout") or DEFAULT_CONNECT_TIMEOUT,
            verify_host=self.verify_host and not _switched_off(options, "ssl_verify_server_cert"),
        )

    def _file_options(self) -> dict[str, str]:
        if self.config_file == "":
            return {}
        if self.config_file is not None:
            return read_options(Path(os.path.expanduser(self.config_file)), CLIENT_GROUPS)
        default = Path(os.path.expanduser("~/.my.cnf"))
        return read_options(default, CLIENT_GROUPS) if default.is_file() else {}

    @property
    def where(self) -> str:
        """The place for a person: ``socket /run/mysqld/mysqld.sock`` or ``db1:3306``."""
        return f"socket {self.unix_socket}" if self.unix_socket else endpoint(self.host or "", self.port or 0)

    @property
    def uses_tls(self) -> bool:
        """Returns whether the connection must be encrypted."""
        return not self.unix_socket and bool(self.tls or self.ca_cert or self.client_cert or self.client_key)


def _number(options: Mapping[str, str], name: str) -> int | None:
    text = options.get(name)
    if not text:
        return None
    if not is_digits(text):
        raise InvalidOption(f"option file: {name} = {text!r} is not a number", option=name)
    return int(text)


def _switched_off(options: Mapping[str, str], name: str) -> bool:
    if options.get(name, "1").lower() in ("0", "off", "false", "no"):
        return True
    return f"skip_{name}" in options or f"disable_{name}" in options


def _own_name() -> str:
    """The account of this process, as the stock clients take it when no user is given."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "root" if os.geteuid() == 0 else str(os.geteuid())


class Connection:
    """A connection in autocommit mode, set up for a long backup; safe to share between threads.

    A context manager: the block's end closes it. ``read_timeout`` (seconds) bounds every wait for an answer.
    Every error of the client library becomes ConnectionFailed (no connection, or lost) or ServerError (details:
    errno, statement), which never hold the password.
    """

    def __init__(self, parameters: ConnectionParameters, *, read_timeout: float = 3600.0) -> None:
        self.parameters = parameters.resolved()
        self._driver = libraries.require("pymysql")
        self._lock = threading.RLock()
        self._raw = self._connect(read_timeout)
        try:
            self._prepare_session()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def thread_id(self) -> int:
        """The server's id of this connection (CONNECTION_ID())."""
        return int(self._raw.thread_id())

    @property
    def version_text(self) -> str:
        """The server's version as its greeting says it."""
        return str(self._raw.get_server_info())

    def query(self, sql: str, args: Sequence[Any] = (), *, secrets: Sequence[str] = ()) -> list[dict[str, Any]]:
        """The rows that ``sql`` returns, by column name; ``%s`` in it are filled with ``args``, escaped.

        ``secrets`` are texts of the statement that no error may show.
        """
        with self._lock:
            try:
                with self._raw.cursor() as cursor:
                    cursor.execute(sql, tuple(args) if args else None)
                    return [dict(row) for row in cursor.fetchall() or ()]
            except (self._driver.err.Error, OSError, AttributeError) as error:
                # from None: the driver's traceback holds the statement with its secrets
                raise self._statement_error(sql, error, secrets) from (None if secrets else error)

    def listing(self, select: str, args: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """All rows of the plain SELECT ``select``, for what a backup must know whole: the server counts them, too.

        Raises ServerError when it counts more than it shows. ``select`` has no LIMIT, and its columns have names.
        """
        listed = f"FROM ({select}) AS listed"
        rows = self.query(f"SELECT listed.*, COUNT(*) OVER () AS {_COUNTED} {listed}", args)
        counts = [row.pop(_COUNTED) for row in rows] or [self.scalar(f"SELECT COUNT(*) {listed}", args)]
        # an answer without even that row is none
        counted = -1 if counts[0] is None else int(counts[0])
        if counted != len(rows):
            raise ServerError(
                f"the server at {self.parameters.where} shows {len(rows)} rows of {select!r} and counts {counted}",
                remedy="Look for a proxy, or a setting, that cuts the answers for this account.",
                statement=select,
            )
        return rows

    def execute(self, sql: str, args: Sequence[Any] = (), *, secrets: Sequence[str] = ()) -> None:
        """Run ``sql`` for its effect."""
        self.query(sql, args, secrets=secrets)

    def execute_raw(self, statement: bytes) -> None:
        """Run ``statement``, which is in the session's character_set_client, for its effect."""
        with self._lock:
            try:
                with self._raw.cursor() as cursor:
                    cursor.execute(statement)
            except (self._driver.err.Error, OSError, AttributeError) as error:
                raise self._statement_error(statement.decode("utf-8", "replace"), error, ()) from error

    def row(self, sql: str, args: Sequence[Any] = ()) -> dict[str, Any] | None:
        """The first row of ``sql``, or None."""
        rows = self.query(sql, args)
        return rows[0] if rows else None

    def scalar(self, sql: str, args: Sequence[Any] = ()) -> Any:
        """The first column of the first row of ``sql``, or None."""
        row = self.row(sql, args)
        return None if row is None else next(iter(row.values()))

    def variables(self, *names: str) -> dict[str, str]:
        """The global variables ``names`` (all, when none is named) that this server knows, as text, however long."""
        shown = self._named_values("SHOW GLOBAL VARIABLES", names)
        # SHOW cuts values, MySQL's at 1,024 bytes, MariaDB's at some more
        cut = [name for name, value in shown.items() if len(value.encode("utf-8", "replace")) >= _SHOWN_WHOLE]
        if cut:
            whole = self.row("SELECT " + ", ".join(f"@@GLOBAL.{name} AS `{name}`" for name in cut)) or {}
            shown.update({name: str(value) for name, value in whole.items()})
        return shown

    def status(self, *names: str) -> dict[str, str]:
        """The global status variables ``names`` that this server knows, as text.

        Each by a LIKE of its own: MariaDB works out the value of every variable before it looks at a WHERE, and waits
        for statements such as GRANT for some, which wait for a backup's locks in their turn.
        """
        values: dict[str, str] = {}
        for name in names:
            pattern = name.replace("_", "\\_")
            for row in self.query("SHOW GLOBAL STATUS LIKE %s", [pattern]):
                values[str(row["Variable_name"])] = str(row["Value"])
        return values

    def ping(self) -> bool:
        """Returns whether the connection is alive; it is never reopened."""
        with self._lock:
            try:
                self._raw.ping(reconnect=False)
            except (self._driver.err.Error, OSError, AttributeError):
                return False
            return True

    def close(self) -> None:
        """End the session; the server frees every lock that it holds. Closing twice is fine."""
        with self._lock:
            if not self._raw.open:
                return
            _log.debug("ending session %s", self._raw.thread_id())
            try:
                self._raw.close()
            except (self._driver.err.Error, OSError):
                # the socket is closed whatever the server still said
                return

    def escape(self, value: Any) -> str:
        """``value`` as an SQL literal."""
        return str(self._raw.escape(value))

    # --- inside --------------------------------------------------------------------------------------

    def _connect(self, read_timeout: float) -> Any:
        parameters = self.parameters
        settings: dict[str, Any] = {
            "user": parameters.user,
            # as the servers' own clients on a UTF-8 terminal; the driver would make it Latin-1
            "password": (parameters.password or "").encode("utf-8", "surrogateescape"),
            "connect_timeout": parameters.connect_timeout,
            "read_timeout": read_timeout,
            "write_timeout": read_timeout,
            "charset": "utf8mb4",
            "autocommit": True,
            "cursorclass": self._driver.cursors.DictCursor,
            "program_name": "innodb.xtrabackup",
            "read_default_file": None,
        }
        if parameters.unix_socket:
            settings["unix_socket"] = parameters.unix_socket
        else:
            settings.update(host=parameters.host, port=parameters.port)
        try:
            raw = self._log_in(settings)
            _log.info("session %s with the server at %s", raw.thread_id(), parameters.where)
            return raw
        except (self._driver.err.Error, OSError, RuntimeError, ValueError, LookupError) as error:
            library = missing_library(error, parameters.user)
            if library is not None:
                raise library from None
            if isinstance(error, RuntimeError) and "cryptography" in str(error):
                # without TLS, MySQL's usual account plugin wants the password encrypted with the server's key
                libraries.require("cryptography")
            refused = self._connect_error(error)
            _log.info("no session: %s", refused)
            raise refused from None

    def _log_in(self, settings: dict[str, Any]) -> Any:
        """The driver's connection with ``settings``. Where TLS is asked for, all that is sent is encrypted."""
        parameters, context = self.parameters, None
        channel: socket.socket | None = None
        login: login_channel.LoginSocket | None = None
        if not parameters.unix_socket:
            if parameters.uses_tls:
                settings["ssl"] = context = self._tls_context()
            if not login_channel.is_verified(context):
                settings["auth_plugin_map"] = login_channel.refused_plugins(parameters.where)
            channel = login = self._login_socket(tls_only=context is not None)
        elif parameters.server_pid is not None:
            timeout = parameters.connect_timeout or DEFAULT_CONNECT_TIMEOUT
            channel = login_channel.connect_to_process(
                parameters.unix_socket, parameters.server_pid, timeout, parameters.where
            )
        try:
            raw = self._driver.connections.Connection(defer_connect=True, **settings)
            raw.connect(channel)
        except BaseException:
            if channel is not None:
                channel.close()
            raise
        if context is not None and login is not None and not login.is_taken:
            raw.close()
            raise login_channel.no_tls(parameters.where)
        return raw

    def _login_socket(self, *, tls_only: bool) -> login_channel.LoginSocket:
        parameters = self.parameters
        host, port = parameters.host or "", parameters.port or DEFAULT_PORT
        timeout = parameters.connect_timeout or DEFAULT_CONNECT_TIMEOUT
        try:
            return login_channel.connect(host, port, timeout, parameters.where, tls_only=tls_only)
        except OSError as error:
            # as the driver says it
            text = f"Can't connect to MySQL server on {host!r} ({error})"
            raise self._driver.err.OperationalError(_CANNOT_CONNECT, text) from error

    def _tls_context(self) -> ssl.SSLContext:
        parameters = self.parameters
        for path in filter(None, (parameters.ca_cert, parameters.client_cert, parameters.client_key)):
            if not os.access(path, os.R_OK):
                raise InvalidOption(f"the TLS file {path} cannot be read", path=path)
        return login_channel.tls_context(
            parameters.ca_cert,
            parameters.client_cert,
            parameters.client_key,
            verify_host=parameters.verify_host,
            verify_by_host=parameters.verify_by_host,
        )

    def _connect_error(self, error: BaseException) -> ConnectionFailed:
        parameters = self.parameters
        errno, text = _errno_and_text(error)
        who = f"user {parameters.user!r} at {parameters.where}"
        details: dict[str, Any] = {"user": parameters.user, "where": parameters.where, "errno": errno}
        if isinstance(error, LookupError):
            # the driver reads past the end of an answer that it does not understand, of a plugin such as pam
            errno, text = _UNKNOWN_PLUGIN, "the driver does not know the way in which this account logs in"
        # Not masked: no server and no driver has the password to tell here, and where it is a part of the user's name
        # or of an ordinary word, asterisks in its place would tell it.
        if is_refused_login(errno):
            return ConnectionFailed(
                f"the server does not accept the login of {who}: {text}",
                remedy=remedy_of(errno, text, parameters.user),
                **details,
            )
        return ConnectionFailed(f"cannot connect as {who}: {text}", **details)

    def _prepare_session(self) -> None:
        session.prepare(self.query, self.escape, family=flavor_of(self.version_text, "").family)

    def _named_values(self, statement: str, names: Sequence[str]) -> dict[str, str]:
        rows = self.query(f"{statement} WHERE Variable_name IN %s", [tuple(names)]) if names else self.query(statement)
        return {str(row["Variable_name"]): str(row["Value"]) for row in rows}

    def _statement_error(self, sql: str, error: BaseException, secrets: Sequence[str]) -> ServerError:
        errno, text = _errno_and_text(error)
        forms = [form for secret in secrets for form in (secret, self._escaped_inside(secret))]
        statement = _shortened(_mask(sql, forms))
        if secrets and errno == _PARSE_ERROR:
            # a syntax error quotes the statement and cuts it anywhere, even inside the secret
            text = "the server does not understand the statement"
        text = _mask(text, forms)
        if errno in _CONNECTION_ERRNOS or errno == _LOST_BY_KILL or not isinstance(error, self._driver.err.Error):
            return ConnectionFailed(
                f"the connection to the server at {self.parameters.where} was lost during {statement!r}: {text}",
                remedy="Look at the server's error log: did it stop, or was the connection killed?",
                errno=errno,
                statement=statement,
            )
        return ServerError(
            f"the server at {self.parameters.where} answered {statement!r} with error {errno}: {text}",
            remedy=remedy_of(errno, text, self.parameters.user) if errno in _ACCOUNT_ERRNOS else None,
            errno=errno,
            statement=statement,
        )

    def _escaped_inside(self, secret: str) -> str:
        """``secret`` as it looks inside a quoted literal."""
        return str(self._driver.converters.escape_string(secret))


def version_numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version text: ``10.11.19-MariaDB-log`` is (10, 11, 19); () when there are none."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in match.group().split(".")) if match else ()


def _errno_and_text(error: BaseException) -> tuple[int, str]:
    """Number (0: none) and text of an error of the driver or the operating system."""
    if len(error.args) > 1 and isinstance(error.args[0], int):
        return error.args[0], str(error.args[1])
    return 0, str(error) or type(error).__name__


def _shortened(statement: str) -> str:
    """A statement as a message shows it: some name thousands of tables."""
    if len(statement) <= _LONGEST_SHOWN:
        return statement
    return f"{statement[:_LONGEST_SHOWN]}... ({len(statement)} characters)"


def _mask(text: str, secrets: Sequence[str]) -> str:
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return text
