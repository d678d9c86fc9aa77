# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options about the server: how to log in, its locks, its coordinates, its own settings."""

from __future__ import annotations

from .option import ASK, BOTH, DIFFERENT, FLAG, NEEDLESS, NUMBER, OPTIONAL, REFUSED, SAME, SIZE, TEXT, M, Option, P

LOGIN = (
    Option("user", TEXT, "The account; by default that of the operating system.", short="u", parameter="login_user"),
    Option(
        "password",
        OPTIONAL,
        "Its password; without = it is asked for, and nothing after = is an empty one.",
        DIFFERENT,
        "Blanked in the process list as soon as the program runs. An option file that only you can read is better, and "
        "so is MYSQL_PWD, which counts when no password is given.",
        P,
        short="p",
        parameter="login_password",
        implied=ASK,
        secret=True,
    ),
    Option(
        "password",
        TEXT,
        "Its password, after = or as the next word; nothing after = is an empty one. It is never asked for.",
        DIFFERENT,
        "Blanked in the process list as soon as the program runs. An option file that only you can read is better, and "
        "so is MYSQL_PWD, which counts when no password is given.",
        M,
        short="p",
        parameter="login_password",
        secret=True,
    ),
    Option("host", TEXT, "The server's host; it must be this one.", SAME, short="H", parameter="login_host"),
    Option("port", NUMBER, "The server's port.", short="P", parameter="login_port", default=0),
    Option("socket", TEXT, "The server's socket.", short="S", parameter="login_unix_socket"),
    Option(
        "protocol",
        TEXT,
        "How to connect.",
        DIFFERENT,
        "tcp or socket; there are no pipes and no shared memory here.",
        choices=("tcp", "socket"),
        vendors=M,
        parameter="login_unix_socket",
    ),
    Option(
        "ssl",
        FLAG,
        "Connect with TLS.",
        DIFFERENT,
        "Together with --ssl-ca, without which nobody knows who answers. --skip-ssl ignores the other --ssl options.",
        parameter="ca_cert",
    ),
    Option(
        "ssl-mode",
        TEXT,
        "How much TLS is wanted.",
        DIFFERENT,
        "DISABLED and PREFERRED: without, unless --ssl-ca is given. REQUIRED and the others need --ssl-ca.",
        vendors=P,
        choices=("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"),
        parameter="ca_cert",
    ),
    Option("ssl-ca", TEXT, "Certificates of the authorities to trust.", parameter="ca_cert", speaks=True),
    Option("ssl-cert", TEXT, "Our certificate.", parameter="client_cert"),
    Option("ssl-key", TEXT, "Its key.", parameter="client_key"),
    Option(
        "ssl-verify-server-cert",
        FLAG,
        "Compare the host's name with the server's certificate.",
        DIFFERENT,
        "On by default; --skip-ssl-verify-server-cert switches it off.",
        parameter="verify_host",
    ),
    *(
        Option(name, TEXT, text, REFUSED, "Not yet: the engine takes --ssl-ca, --ssl-cert and --ssl-key.", vendors)
        for name, text, vendors in (
            ("ssl-capath", "A directory of certificates to trust.", ("percona", "mariadb")),
            ("ssl-cipher", "Ciphers to use.", ("percona", "mariadb")),
            ("ssl-crl", "A list of revoked certificates.", ("percona", "mariadb")),
            ("ssl-crlpath", "A directory of such lists.", ("percona", "mariadb")),
            ("tls-version", "The version of TLS.", ("percona", "mariadb")),
            ("tls-ciphersuites", "Ciphers of TLS 1.3.", ("percona",)),
            ("ssl-fips-mode", "FIPS mode of OpenSSL.", ("percona",)),
        )
    ),
    Option(
        "get-server-public-key",
        FLAG,
        "Ask the server for the key that passwords are encrypted with.",
        NEEDLESS,
        "It is asked where it is needed.",
        P,
    ),
    Option(
        "server-public-key-path", TEXT, "A file with that key.", REFUSED, "Not yet: use the socket, or --ssl-ca.", P
    ),
    Option(
        "login-path",
        TEXT,
        "A group of the login file.",
        REFUSED,
        "The login file only hides passwords; an option file that nobody else can read does more.",
        P,
    ),
    Option(
        "secure-auth", FLAG, "No passwords of before MySQL 4.1.", NEEDLESS, "There are none any more.", on_only=True
    ),
    Option(
        "no-version-check",
        FLAG,
        "Do not ask a server of the vendor for newer versions.",
        NEEDLESS,
        "Nobody is asked.",
    ),
    Option(
        "no-server-version-check",
        FLAG,
        "Go on with a server that is newer than the tool.",
        REFUSED,
        "A format that nobody has looked at is never guessed.",
        P,
    ),
    Option("check-privileges", FLAG, "Check the account's privileges first.", NEEDLESS, "Always done.", on_only=True),
)

LOCKS = (
    Option(
        "lock-ddl",
        OPTIONAL,
        "Block schema changes: ON for all the time, REDUCED only at the end.",
        DIFFERENT,
        "REDUCED by default: schema changes go on, and are followed. OFF is refused, since it makes backups that "
        "cannot be used.",
        P,
        choices=("ON", "REDUCED"),
        aliases=(("1", "ON"), ("true", "ON")),
        implied="ON",
        parameter="lock_ddl",
    ),
    Option(
        "lock-ddl-timeout",
        NUMBER,
        "Seconds to wait for a lock.",
        DIFFERENT,
        "60 by default, for each of the locks.",
        P,
        parameter="lock_timeout",
    ),
    Option(
        "backup-lock-timeout",
        NUMBER,
        "Seconds to wait for metadata locks.",
        DIFFERENT,
        "As --lock-ddl-timeout.",
        P,
        parameter="lock_timeout",
    ),
    Option(
        "backup-lock-retry-count", NUMBER, "Attempts to get them.", REFUSED, "One with a deadline says the same.", P
    ),
    Option(
        "startup-wait-timeout",
        NUMBER,
        "Seconds to wait for BACKUP STAGE START.",
        DIFFERENT,
        "For each of the stages. Without it, and with 0, 60 seconds: nothing waits for ever.",
        M,
        parameter="lock_timeout",
        default=0,
    ),
    Option(
        "ftwrl-wait-timeout",
        NUMBER,
        "Seconds to wait for a lock.",
        DIFFERENT,
        "For each of the locks. Without it, and with 0, 60 seconds: nothing waits for ever.",
        parameter="lock_timeout",
        default=0,
        speaks=True,
    ),
    *(
        Option(name, kind, text, NEEDLESS, "Without effect in mariadb-backup, too.", M)
        for name, kind, text in (
            ("ftwrl-wait-threshold", NUMBER, "Which queries run for long, in seconds."),
            ("ftwrl-wait-query-type", TEXT, "Which queries to wait for."),
            ("kill-long-queries-timeout", NUMBER, "Seconds until queries in the way are killed."),
            ("kill-long-query-type", TEXT, "Which queries are killed."),
            ("no-backup-locks", FLAG, "Do not use backup locks."),
            ("rsync", FLAG, "Copy with rsync."),
        )
    ),
    *(
        Option(
            name,
            kind,
            text,
            REFUSED,
            "A lock that is not granted in time is given up, and its blockers are named; no query is waited for "
            "before, and none is ever killed.",
            P,
            off=("0",),
        )
        for name, kind, text in (
            ("ftwrl-wait-threshold", NUMBER, "Which queries run for long, in seconds."),
            ("ftwrl-wait-query-type", TEXT, "Which queries to wait for."),
            ("kill-long-queries-timeout", NUMBER, "Seconds until queries in the way are killed."),
            ("kill-long-query-type", TEXT, "Which queries are killed."),
        )
    ),
    Option("rsync", FLAG, "Copy with rsync.", NEEDLESS, "Files are copied in parallel anyway.", P),
    Option("backup-locks", FLAG, "Use backup locks.", NEEDLESS, "Always where the server has them.", P, on_only=True),
    Option("no-backup-locks", FLAG, "Do not use backup locks.", REFUSED, "They are the lightest locks there are.", P),
    Option(
        "no-lock",
        FLAG,
        "Take no lock.",
        REFUSED,
        "The backup would have no coordinates, and with tables without transactions no consistency. The locks are held "
        "for moments, and have a deadline (--ftwrl-wait-timeout).",
    ),
    Option(
        "lock-ddl-per-table",
        FLAG,
        "Lock schema changes table by table.",
        REFUSED,
        "Schema changes are followed and do no harm.",
    ),
    Option(
        "register-redo-log-consumer",
        FLAG,
        "Have the server keep its redo log until it is read.",
        NEEDLESS,
        "Always, where the server can.",
        P,
    ),
    Option(
        "slave-info",
        FLAG,
        "Write where a replica stands in its source's log into xtrabackup_slave_info.",
        DIFFERENT,
        "Written when the server is a replica, with this option or without it. Without it, and without "
        "--safe-slave-backup, an account of a MariaDB server that may not read channels (SLAVE MONITOR) takes a backup "
        "all the same, which says that it holds no position of a replica.",
        parameter="require_channels",
    ),
    Option(
        "binlog-info",
        OPTIONAL,
        "How the position in the binary log is taken: OFF, LOCKLESS, ON or AUTO, or their numbers 0 to 3.",
        DIFFERENT,
        "Always taken, and exact, whatever is said here: it names the instant of the backup.",
        M,
        choices=("OFF", "LOCKLESS", "ON", "AUTO"),
        aliases=(("0", "OFF"), ("1", "LOCKLESS"), ("2", "ON"), ("3", "AUTO"), ("", "OFF")),
        implied="AUTO",
        parameter="(always)",
    ),
    Option(
        "galera-info",
        FLAG,
        "Write the state of a node of a Galera cluster into xtrabackup_galera_info.",
        REFUSED,
        "Not yet: it cannot be tested here. wsrep_last_committed of the server tells it.",
    ),
    Option(
        "safe-slave-backup",
        FLAG,
        "Stop a replica's SQL threads for the backup, while no temporary tables are open.",
        DIFFERENT,
        "Those of all channels, which makes their positions exact; only from when InnoDB's files have been copied "
        "until the locks are released, unless --lock-ddl=ON. They are started again even if this program is killed.",
        parameter="safe_slave_backup",
    ),
    Option(
        "safe-slave-backup-timeout",
        NUMBER,
        "Seconds for --safe-slave-backup to wait for temporary tables.",
        DIFFERENT,
        "Also for the SQL threads to finish their transactions.",
        parameter="safe_slave_backup_timeout",
        default=300,
    ),
    Option(
        "history",
        OPTIONAL,
        "Write a row about the backup into a table of the server.",
        REFUSED,
        "Not yet: the backup's manifest holds that record, and nothing is ever written to the server.",
    ),
    Option(
        "innodb-log-checkpoint-now",
        FLAG,
        "Force a checkpoint first.",
        REFUSED,
        "It would load the server; redo is copied fast enough without it.",
        M,
    ),
)

#: names of server variables that --copy-back goes by
LAYOUT_NAMES = (
    ("datadir", "The data directory."),
    ("innodb-data-home-dir", "The directory of the system tablespace."),
    ("innodb-data-file-path", "The files of the system tablespace."),
    ("innodb-log-group-home-dir", "The directory of the redo log."),
    ("innodb-undo-directory", "The directory of undo tablespaces."),
    ("innodb-page-size", "The page size."),
    ("aria-log-dir-path", "The directory of Aria's log."),
    ("log-bin", "The base name of the binary log."),
)

#: kind, whose tools have them, and names: whether the next word is a value must be as there, or it becomes a directory
_NEEDLESS_SETTINGS = (
    (
        FLAG,
        BOTH,
        ("innodb-adaptive-hash-index", "innodb-doublewrite", "innodb-file-per-table", "innodb-use-native-aio"),
    ),
    (FLAG, M, ("innodb-log-file-buffering", "innodb-log-file-mmap")),
    (FLAG, P, ("innodb-checksums", "innodb-redo-log-encrypt", "innodb-undo-log-encrypt")),
    (OPTIONAL, BOTH, ("innodb", "innodb-io-capacity", "log")),
    (OPTIONAL, P, ("innodb-flush-log-at-trx-commit",)),
    (SIZE, BOTH, ("innodb-log-buffer-size", "innodb-log-file-size")),
    (SIZE, M, ("innodb-log-write-ahead-size",)),
    (SIZE, P, ("innodb-buffer-pool-size", "innodb-log-block-size")),
    (
        TEXT,
        BOTH,
        (
            "innodb-autoextend-increment",
            "innodb-buffer-pool-filename",
            "innodb-checksum-algorithm",
            "innodb-compression-level",
            "innodb-file-io-threads",
            "innodb-flush-method",
            "innodb-max-dirty-pages-pct",
            "innodb-read-io-threads",
            "innodb-undo-tablespaces",
            "innodb-write-io-threads",
            "log-bin-index",
            "server-id",
        ),
    ),
    (TEXT, M, ("innodb-linux-aio",)),
    (
        TEXT,
        P,
        (
            "innodb-directories",
            "innodb-log-checksums",
            "innodb-log-files-in-group",
            "innodb-open-files",
            "temp-tablespaces-dir",
        ),
    ),
)

SETTINGS = (
    *(
        Option(
            name,
            OPTIONAL if name == "log-bin" else TEXT,
            text,
            DIFFERENT,
            "For --copy-back and --move-back. --backup asks the server"
            + ("; another --datadir on the command line is an error." if name == "datadir" else "."),
            short="h" if name == "datadir" else "",
            parameter="layout",
        )
        for name, text in LAYOUT_NAMES
    ),
    *(
        Option(
            name,
            kind,
            "A setting of the server.",
            NEEDLESS,
            "--backup asks the server, --prepare knows it from the backup or chooses it.",
            vendors,
        )
        for kind, vendors, names in _NEEDLESS_SETTINGS
        for name in names
    ),
    Option(
        "mysqld-args",
        FLAG,
        "What follows are options of the server.",
        DIFFERENT,
        "Those of them that no table here has are ignored, as there.",
        M,
    ),
)
