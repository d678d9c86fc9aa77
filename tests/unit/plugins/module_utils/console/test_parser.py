# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command lines and option files, read as the servers' own programs read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.console import option_files
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.dialects import DIALECTS, choose
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.messages import Messages
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.option import ACTION, ASK, FLAG, REFUSED
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.parser import Arguments, Parser, UnknownOption
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.session import ConsoleSession, login, read
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.tables import options_of
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import InvalidOption

MARIADB, PERCONA, XBSTREAM = DIALECTS["mariadb-backup"], DIALECTS["xtrabackup"], DIALECTS["xbstream"]


def parse(*words: str, program: str = "xtrabackup") -> Arguments:
    arguments = Arguments()
    Parser(options_of(DIALECTS[program])).command_line(words, arguments)
    return arguments


def session(*words: str, program: str = "mariadb-backup") -> ConsoleSession:
    return read(DIALECTS[program], list(words), Messages(DIALECTS[program]), 1)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--target-dir=/b"], "target-dir", "/b"),
        (["--target-dir", "/b"], "target-dir", "/b"),
        (["--target_dir=/b"], "target-dir", "/b"),
        (["--target=/b"], "target-dir", "/b"),
        (["--target-dir=/a", "--target-dir=/b"], "target-dir", "/b"),
        (["--loose-parallel=3"], "parallel", 3),
        (["--use-memory=1G"], "use-memory", 1 << 30),
        (["--stream"], "stream", "xbstream"),
        (["--stream=mbstream"], "stream", "mbstream"),
        (["--compress"], "compress", "zstd"),
        (["--compress=LZ4"], "compress", "lz4"),
        (["--skip-ssl"], "ssl", False),
        (["--ssl=0"], "ssl", False),
        (["--slave-info"], "slave-info", True),
        (["-uroot"], "user", "root"),
        (["-u", "root"], "user", "root"),
        (["-P3307"], "port", 3307),
        (["-psecret"], "password", "secret"),
        (["-p"], "password", ASK),
        (["--password"], "password", ASK),
        (["--password="], "password", ""),
        (["--skip-password"], "password", ""),
        (["--port="], "port", 0),
        (["--parallel="], "parallel", 1),
        (["--parallel=0"], "parallel", 1),
        (["--open-files-limit=4K"], "open-files-limit", 4096),
        (["--use-memory="], "use-memory", 0),
        (["--lock-ddl=1"], "lock-ddl", "ON"),
        (["--lock-ddl=true"], "lock-ddl", "ON"),
        (["--lock-ddl"], "lock-ddl", "ON"),
    ],
)
def test_options_are_read_in_every_way_that_people_write_them(words: list[str], name: str, value: object) -> None:
    assert parse(*words).values[name] == value


def test_a_dialect_has_its_own_rules() -> None:
    # MariaDB's --stream needs a value, which may be the next word
    assert parse("--stream", "xbstream", program="mariadb-backup").values["stream"] == "xbstream"
    assert parse("--stream", "xbstream").words == ["xbstream"]
    assert parse("-v", program="xtrabackup").flag("version")
    assert parse("-v", program="xbstream").flag("verbose")
    assert parse("-xC", "dir", "-p4", program="mbstream").values == {"extract": True, "directory": "dir", "parallel": 4}


@pytest.mark.parametrize(
    "words", [["--no-such"], ["-y"], ["--parallel"], ["--parallel=many"], ["--compress=quicklz"], ["--ssl-c=x"]]
)
def test_what_cannot_be_understood_is_an_error(words: list[str]) -> None:
    with pytest.raises(InvalidOption):
        parse(*words)


@pytest.mark.parametrize("program", list(DIALECTS))
def test_every_refused_option_is_refused_by_name_and_only_when_it_asks_for_something(program: str) -> None:
    refused = [option for option in options_of(DIALECTS[program]).values() if option.verdict == REFUSED]
    assert refused
    for option in refused:
        is_flag = option.kind in (FLAG, ACTION)
        with pytest.raises(InvalidOption, match=f"--{option.name} is not supported: "):
            parse(f"--{option.name}" if is_flag else f"--{option.name}=7", program=program)
        if is_flag:
            assert parse(f"--skip-{option.name}", program=program).values == {}


def test_a_needless_option_is_told_and_one_that_cannot_be_off_is_refused() -> None:
    assert parse("--strict").warnings == ["--strict changes nothing: Always."]
    with pytest.raises(InvalidOption, match="check-privileges"):
        parse("--skip-check-privileges")
    with pytest.raises(UnknownOption):
        parse("--loosen")
    assert parse("--loose-no-such=1").warnings == ["unknown option --no-such"]


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["-p", "secret"], "password", "secret"),
        (["-psecret"], "password", "secret"),
        (["--password", "secret"], "password", "secret"),
        (["--password="], "password", ""),
        (["--binlog-info=1"], "binlog-info", "LOCKLESS"),
        (["--binlog-info=off"], "binlog-info", "OFF"),
        (["--binlog-info"], "binlog-info", "AUTO"),
        (["--compress-threads=1k"], "compress-threads", 1024),
    ],
)
def test_mariadbs_tool_has_forms_of_its_own(words: list[str], name: str, value: object) -> None:
    parsed = parse(*words, program="mariadb-backup")
    assert parsed.values[name] == value
    assert parsed.words == []


@pytest.mark.parametrize("program", ["mariadb-backup", "xtrabackup"])
@pytest.mark.parametrize(
    "words",
    [
        ["--innodb-flush-method", "O_DIRECT"],
        ["--innodb_log_file_size", "48M"],
        ["--innodb-read-io-threads", "4"],
        ["--innodb-max-dirty-pages-pct", "7.5"],
        ["--innodb-io-capacity"],
        ["--skip-innodb-doublewrite"],
        ["--innodb-file-per-table"],
    ],
)
def test_a_value_of_a_needless_setting_is_no_directory(program: str, words: list[str]) -> None:
    parsed = parse(*words, program=program)
    assert parsed.words == []
    assert len(parsed.warnings) == 1


@pytest.mark.parametrize(
    "word", ["--innodb-buffer-pool-size=1G", "--innodb_log_files_in_group=2", "--innodb-checksums"]
)
def test_settings_of_perconas_tool_that_change_nothing_are_taken(word: str) -> None:
    assert len(parse(word).warnings) == 1


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        ([], {"MYSQL_PWD": "of the environment"}, ("of the environment", None, None, None)),
        (["--password="], {"MYSQL_PWD": "of the environment"}, ("", None, None, None)),
        ([], {}, (None, None, None, None)),
        (["--host=db1"], {"MYSQL_TCP_PORT": "3399"}, (None, "db1", 3399, None)),
        (["--host=db1", "--port="], {"MYSQL_TCP_PORT": "3399"}, (None, "db1", 3399, None)),
        (["--host=db1", "--port=3301"], {"MYSQL_TCP_PORT": "3399"}, (None, "db1", 3301, None)),
        (["--protocol=tcp"], {"MYSQL_TCP_PORT": "3399"}, (None, "127.0.0.1", 3399, None)),
        ([], {"MYSQL_UNIX_PORT": "/s", "MYSQL_TCP_PORT": "3399"}, (None, None, None, "/s")),
        (["--socket=/mine"], {"MYSQL_UNIX_PORT": "/s"}, (None, None, None, "/mine")),
        (["--host=db1"], {"MYSQL_UNIX_PORT": "/s"}, (None, "db1", None, None)),
    ],
)
def test_the_environment_of_the_clients_counts(
    words: list[str], environment: dict[str, str], expected: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MYSQL_PWD", "MYSQL_TCP_PORT", "MYSQL_UNIX_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = login(session("--no-defaults", "--backup", *words))
    assert (found.password, found.host, found.port, found.unix_socket) == expected


@pytest.mark.parametrize("with_program", [True, False])
def test_an_empty_password_of_an_option_file_is_a_password(
    tmp_path: Path, with_program: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_program:
        monkeypatch.setattr(option_files, "PROGRAM", "no-such-program")
    path = tmp_path / "my.cnf"
    for line, program, expected in (
        ("password=", "mariadb-backup", ""),
        ("password =", "xtrabackup", ""),
        ("password", "xtrabackup", ASK),
    ):
        path.write_text(f"[client]\n{line}\n")
        found = session(f"--defaults-file={path}", "--backup", program=program)
        assert found.arguments.values["password"] == expected
    with pytest.raises(InvalidOption, match="password in an option file needs a value"):
        session(f"--defaults-file={path}", "--backup", program="mariadb-backup")


def test_the_program_is_chosen_by_its_name_or_by_the_first_word() -> None:
    assert choose(["/opt/x/mbstream", "-x"]) == (DIALECTS["mbstream"], ["-x"])
    assert choose(["console.pyz", "xtrabackup", "--backup"]) == (PERCONA, ["--backup"])
    with pytest.raises(InvalidOption, match="none of the programs"):
        choose(["console.pyz", "--backup"])


def test_what_says_which_option_files_comes_first_or_is_an_error() -> None:
    files, rest = option_files.split(["--defaults-file=/a", "--defaults-group=mysqld7", "--backup"])
    assert (files.defaults_file, files.group, rest) == ("/a", "mysqld7", ["--backup"])
    for late in ("--defaults-file=/a", "--no-defaults", "--print-defaults", "--defaults-extra-file=/a"):
        with pytest.raises(InvalidOption, match="must be specified first"):
            option_files.split(["--backup", late])


@pytest.fixture(name="cnf")
def _cnf(tmp_path: Path) -> Path:
    path = tmp_path / "my.cnf"
    path.write_text(
        "[client]\nuser = theirs\nport = 3310\nno-such-client-option\n"
        "[mysqld]\ndatadir = /data\nsocket = /server.sock\nuser = mysql\ninnodb_force_recovery = 1\n"
        "plugin-load-add = what_ever\ntmpdir = /private\nparallel = 9\n"
        "[mariadb-backup]\nparallel = 3\nuser = backup\npassword = 'pass # word'\n"
        "[mysqld7]\ndatadir = /seven\n"
    )
    return path


@pytest.mark.parametrize("with_program", [True, False])
def test_option_files_give_each_group_its_own(cnf: Path, with_program: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not with_program:
        monkeypatch.setattr(option_files, "PROGRAM", "no-such-program")
    found = session(f"--defaults-file={cnf}", "--backup", "--target-dir=/t")
    arguments = found.arguments
    assert (arguments.text("datadir"), arguments.number("parallel"), arguments.number("port")) == ("/data", 3, 3310)
    assert arguments.text("socket") is None
    assert arguments.text("tmpdir") is None
    parameters = login(found)
    assert (parameters.user, parameters.password) == ("backup", "pass # word")
    assert session(f"--defaults-file={cnf}", "--backup", "--parallel=5").arguments.number("parallel") == 5
    other = session(f"--defaults-file={cnf}", "--defaults-group=mysqld7", "--copy-back")
    assert other.arguments.text("datadir") == "/seven"
    assert session("--no-defaults", "--backup").arguments.text("datadir") is None


def test_what_is_unknown_is_an_error_in_the_tools_own_groups_only(tmp_path: Path) -> None:
    path = tmp_path / "my.cnf"
    path.write_text("[mariabackup]\nno-such = 1\n")
    with pytest.raises(UnknownOption, match="no-such"):
        session(f"--defaults-file={path}", "--backup")
    path.write_text("[xtrabackup]\nincremental-basedir = /x\n")
    with pytest.raises(InvalidOption, match="not supported"):
        session(f"--defaults-file={path}", "--backup")
    with pytest.raises(InvalidOption, match="does not exist"):
        session(f"--defaults-file={path}.not", "--backup")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--socket=/s"], ("/s", None, None)),
        (["--host=db1", "--port=3307"], (None, "db1", 3307)),
        (["--protocol=tcp"], (None, "127.0.0.1", 3306)),
        (["--socket=/s", "--protocol=tcp", "--port=3307"], (None, "127.0.0.1", 3307)),
    ],
)
def test_the_server_is_found_as_the_clients_find_it(words: list[str], expected: tuple[object, ...]) -> None:
    parameters = login(session("--no-defaults", "--backup", *words))
    assert (parameters.unix_socket, parameters.host, parameters.port) == expected


def test_tls_that_proves_nothing_is_refused() -> None:
    for words, program in ((["--ssl"], "mariadb-backup"), (["--ssl-mode=REQUIRED"], "xtrabackup")):
        with pytest.raises(InvalidOption, match="ssl-ca"):
            login(session("--no-defaults", "--backup", *words, program=program))
    quiet = login(session("--no-defaults", "--backup", "--skip-ssl", "--ssl-ca=/ca"))
    assert quiet.ca_cert is None
    assert not login(session("--no-defaults", "--backup", "--ssl-ca=/ca", "--skip-ssl-verify-server-cert")).verify_host


def test_one_word_without_an_option_is_the_target_directory() -> None:
    assert session("--no-defaults", "--backup", "./").target_dir == Path("./")
    for words in (["a", "b"], ["--target-dir=a", "b"]):
        with pytest.raises(InvalidOption, match="unknown argument: 'b'"):
            session("--no-defaults", "--backup", *words).target_dir  # noqa: B018
