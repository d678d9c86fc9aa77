# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private servers for tests: real processes, each with a directory of its own; here MariaDB's, in mysql.py MySQL's.

Nothing of the machine's own server is read or touched. A server lives in one directory::

    data/         its datadir
    server.cnf    its option file: [mysqld] to start it, [client] for whoever connects (``config_file`` of a module)
    server.sock   its socket
    error.log     its error log
    tmp/          its tmpdir

A new datadir is a copy of a template that is initialised once for each combination of server version and
layout options, since initialising takes seconds and a copy does not.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, Union

import pymysql

from .client import DatabaseClient
from .ports import free_port

OptionValue = Union[str, int, None]
_Server = TypeVar("_Server", bound="DatabaseServer")

TEMPLATES = Path(__file__).resolve().parents[2] / ".cache" / "datadirs"

DEFAULT_OPTIONS: dict[str, OptionValue] = {
    "bind_address": "127.0.0.1",
    "skip_name_resolve": None,
    "performance_schema": "OFF",
    "innodb_buffer_pool_size": "64M",
    "innodb_log_file_size": "32M",
    "innodb_flush_log_at_trx_commit": 2,
    "log_bin": "binlog",
    "relay_log": "relay",
    "binlog_format": "ROW",
    "gtid_strict_mode": "ON",
    "max_connections": 200,
}
"""What a server gets unless the test says otherwise; None is an option without a value."""

LAYOUT_OPTIONS = (
    "innodb_page_size",
    "innodb_data_file_path",
    "innodb_data_home_dir",
    "innodb_undo_tablespaces",
    "innodb_undo_directory",
    "innodb_log_group_home_dir",
    "innodb_checksum_algorithm",
    "innodb_compression_default",
    "aria_log_dir_path",
    "lower_case_table_names",
    "character_set_server",
    "collation_server",
)
"""Options that mariadb-install-db must know too."""

BACKUP_PRIVILEGES = "RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR, REPLICA MONITOR"
REPLICATION_PRIVILEGES = "REPLICATION SLAVE"


class ServerFailed(Exception):
    """A server did not do what it was told; the message ends with the last lines of its error log."""


def program(name: str) -> str:
    """The path of ``name``, also where the PATH of an ordinary user has no /usr/sbin; a missing one is an error."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin")
    if path is None:
        raise ServerFailed(f"{name} is not installed: run `make setup`")
    return path


def render_options(options: Mapping[str, OptionValue]) -> str:
    """``options`` as lines of an option file."""
    return "".join(f"{name}\n" if value is None else f"{name} = {value}\n" for name, value in options.items())


class DatabaseServer(DatabaseClient):
    """One private server. ``start`` it, or use it as a context manager that starts and stops it.

    ``options`` are merged over the flavor's defaults (a value of False removes a default).
    """

    default_options: Mapping[str, OptionValue]
    layout_options: tuple[str, ...]
    backup_privileges: str

    def __init__(
        self, directory: Path, options: Mapping[str, OptionValue | bool] | None = None, *, server_id: int = 1
    ) -> None:
        self.directory = directory
        self.datadir = directory / "data"
        self.socket = directory / "server.sock"
        self.option_file = directory / "server.cnf"
        self.error_log = directory / "error.log"
        self.pid_file = directory / "server.pid"
        self.port = free_port()
        self.options: dict[str, OptionValue] = dict(self.default_options, server_id=server_id)
        self.process: subprocess.Popen[bytes] | None = None
        self.set_options(options or {})
        if len(os.fsencode(self.socket)) > 100:
            raise ServerFailed(f"{self.socket} is too long for a socket: set XTRABACKUP_TEST_DIR to a shorter place")

    # --- its files -------------------------------------------------------------------------------

    def set_options(self, options: Mapping[str, OptionValue | bool]) -> None:
        """Merge ``options`` into those of the next start; False removes one."""
        for name, value in options.items():
            if value is False:
                self.options.pop(name, None)
            else:
                self.options[name] = value

    def write_option_file(self) -> None:
        """Write server.cnf: everything that starts this server, and how to reach it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        # its own: a server that starts removes what looks like a temporary table in its tmpdir, also another one's
        tmpdir = self.directory / "tmp"
        tmpdir.mkdir(exist_ok=True)
        tmpdir.chmod(0o1777)
        server: dict[str, OptionValue] = {
            "datadir": str(self.datadir),
            "tmpdir": str(tmpdir),
            "socket": str(self.socket),
            "port": self.port,
            "pid_file": str(self.pid_file),
            "log_error": str(self.error_log),
        }
        server.update(self.options)
        if os.geteuid() == 0:
            server.setdefault("user", "root")
        client: dict[str, OptionValue] = {"socket": str(self.socket), "user": "root"}
        text = f"[mysqld]\n{render_options(server)}\n[client]\n{render_options(client)}"
        self.option_file.write_text(text, encoding="utf-8")

    def initialise(self) -> None:
        """Make the datadir of a new, empty server: root without a password, no test database."""
        self.directory.mkdir(parents=True, exist_ok=True)
        layout = {name: self.options[name] for name in self.layout_options if name in self.options}
        places = [place for name, value in layout.items() for place in _directories(name, str(value))]
        if places:  # what lies in directories of its own cannot come from a shared template
            self.make_places(places)
            self.install_datadir(self.datadir, layout)
            return
        template = self.template_datadir(layout)
        subprocess.run(["cp", "-a", "--reflink=auto", str(template), str(self.datadir)], check=True)

    def make_places(self, places: Sequence[str]) -> None:
        """Make the directories that layout options name, relative to the datadir."""
        for place in places:
            (self.datadir / place).mkdir(parents=True, exist_ok=True)

    @classmethod
    def executable(cls) -> str:
        """The path of the server's program; raises ServerFailed when it is not there."""
        raise NotImplementedError

    @classmethod
    def install_datadir(cls, datadir: Path, layout: Mapping[str, OptionValue]) -> None:
        """Make the new directory ``datadir`` that of an empty server: root without a password."""
        raise NotImplementedError

    @classmethod
    def template_datadir(cls, layout: Mapping[str, OptionValue]) -> Path:
        """The cached datadir of a new server of the installed version with these layout options."""
        text = _version(cls.executable()) + render_options(dict(sorted(layout.items())))
        template = TEMPLATES / hashlib.sha256(text.encode()).hexdigest()[:16]
        TEMPLATES.mkdir(parents=True, exist_ok=True)
        with open(TEMPLATES / "lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several test runs may want the same template
            if not template.exists():
                for old in TEMPLATES.glob("unfinished-*"):  # of a run that was killed
                    shutil.rmtree(old, ignore_errors=True)
                # in a place of its own each time: what the killed run has started may still be writing to the old one
                with tempfile.TemporaryDirectory(prefix="unfinished-", dir=TEMPLATES) as unfinished:
                    datadir = Path(unfinished, "data")
                    cls.install_datadir(datadir, layout)
                    datadir.rename(template)
        return template

    # --- its life --------------------------------------------------------------------------------

    def start(self: _Server, *, timeout: float = 60, extra: Sequence[str] = ()) -> _Server:
        """Start the server and wait until it answers; a datadir is made first if there is none.

        ``extra`` are command line options of this start only. Raises ServerFailed.
        """
        if self.running:
            raise ServerFailed(f"the server in {self.directory} is running already")
        if not self.datadir.exists():
            self.initialise()
        self.write_option_file()
        self.process = subprocess.Popen(
            [self.executable(), f"--defaults-file={self.option_file}", *extra],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C for the tests is not one for the server
        )
        try:
            self.wait_until_ready(timeout)
        except ServerFailed:
            self.kill()  # told to stop while it starts, mariadbd may hang
            raise
        return self

    def wait_until_ready(self, timeout: float = 60) -> None:
        """Wait until the server accepts a login; raises ServerFailed when it ends, or after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.connect(connect_timeout=5).close()
            except pymysql.MySQLError as error:
                if self.process is None or self.process.poll() is not None:
                    raise ServerFailed(f"the server did not start\n{self.log_tail()}") from error
                if time.monotonic() > deadline:
                    raise ServerFailed(
                        f"the server was not ready in {timeout} s: {error}\n{self.log_tail()}"
                    ) from error
            else:
                return
            time.sleep(0.05)

    def stop(self, timeout: float = 120) -> None:
        """Shut the server down cleanly and wait for its end; nothing to do for one that does not run."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise ServerFailed(f"the server did not stop in {timeout} s\n{self.log_tail()}") from error
        if status != 0:
            raise ServerFailed(f"the server ended with status {status}\n{self.log_tail()}")

    def kill(self) -> None:
        """End the server as a power cut would, and wait for its end."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)

    def restart(self, options: Mapping[str, OptionValue | bool] | None = None) -> None:
        """Stop the server cleanly and start it with ``options`` merged into its own."""
        self.stop()
        self.set_options(options or {})
        self.start()

    def __enter__(self: _Server) -> _Server:
        return self if self.running else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop() if kind is None else self.kill()

    @property
    def running(self) -> bool:
        """Whether the process that ``start`` made is alive."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """The server's process id; raises ServerFailed when it does not run."""
        if self.process is None or self.process.poll() is not None:
            raise ServerFailed(f"the server in {self.directory} does not run")
        return self.process.pid

    # --- talking to it ---------------------------------------------------------------------------

    def connect(self, *, user: str = "root", password: str = "", **arguments: Any) -> pymysql.Connection[Any]:
        """A new connection over the socket, autocommit on; the caller closes it."""
        # without TLS, which the driver would try first: reading all authorities' certificates costs more than the login
        arguments = {"autocommit": True, "charset": "utf8mb4", "ssl_disabled": "ssl" not in arguments, **arguments}
        return pymysql.connect(unix_socket=str(self.socket), user=user, password=password, **arguments)

    def create_account(self, user: str, password: str, privileges: str | None = None) -> None:
        """Make (or replace) the account ``user`` with global ``privileges``, valid from the socket and 127.0.0.1."""
        with self.session() as connection, connection.cursor() as cursor:
            for host in ("localhost", "127.0.0.1"):
                cursor.execute("DROP USER IF EXISTS %s@%s", (user, host))
                cursor.execute("CREATE USER %s@%s IDENTIFIED BY %s", (user, host, password))
                cursor.execute(f"GRANT {privileges or self.backup_privileges} ON *.* TO %s@%s", (user, host))

    def login(self, user: str = "root", password: str | None = None) -> dict[str, Any]:
        """The login options of a module that talk to this server over its socket."""
        options: dict[str, Any] = {"login_unix_socket": str(self.socket), "login_user": user}
        if password is not None:
            options["login_password"] = password
        return options

    # --- looking at it ---------------------------------------------------------------------------

    def log_text(self) -> str:
        """The whole error log."""
        return self.error_log.read_text(encoding="utf-8", errors="replace") if self.error_log.exists() else ""

    def log_tail(self, lines: int = 30) -> str:
        """The end of the error log, to show with a failure."""
        return f"{self.error_log}:\n" + "\n".join(self.log_text().splitlines()[-lines:])


@functools.cache
def _version(executable: str) -> str:
    """What a server's program answers to ``--version``."""
    return subprocess.run([executable, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout


def _directories(option: str, value: str) -> list[str]:
    """The directories that a layout option names, relative ones as the server takes them: from the datadir."""
    if option == "innodb_data_file_path":
        return [os.path.dirname(part.split(":")[0]) for part in value.split(";") if "/" in part]
    return [value] if "/" in value else []


class MariaDBServer(DatabaseServer):
    """A MariaDB server, of the version that is installed on this machine."""

    flavor = "mariadb"
    default_options = DEFAULT_OPTIONS
    layout_options = LAYOUT_OPTIONS
    backup_privileges = BACKUP_PRIVILEGES

    @classmethod
    def executable(cls) -> str:
        """mariadbd, as it is installed."""
        return program("mariadbd")

    @classmethod
    def install_datadir(cls, datadir: Path, layout: Mapping[str, OptionValue]) -> None:
        """Run mariadb-install-db into the new directory ``datadir``."""
        options = [
            f"--{name.replace('_', '-')}" + ("" if value is None else f"={value}") for name, value in layout.items()
        ]
        if os.geteuid() == 0:
            options.append("--user=root")
        finished = subprocess.run(
            [
                program("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={datadir}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--innodb-log-file-size=8M",
                *options,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        if finished.returncode != 0:
            raise ServerFailed(f"mariadb-install-db ended with {finished.returncode}\n{finished.stdout[-4000:]}")
