# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All options, by tool and section: the one place that parser, help, manual and documentation read."""

from __future__ import annotations

from .dialects import STREAM, ToolDialect
from .option import ACTION, DIFFERENT, FLAG, NUMBER, REFUSED, SAME, TEXT, Option, P
from .table_main import ACTIONS, DATA
from .table_refused import NEEDLESS_OPTIONS, REFUSALS
from .table_server import LOCKS, LOGIN, SETTINGS

BACKUP_SECTIONS: dict[str, tuple[Option, ...]] = {
    "What is done": ACTIONS,
    "Backup, stream, files": DATA,
    "Login": LOGIN,
    "Locks and coordinates": LOCKS,
    "The server's own settings": SETTINGS,
    "Needless": NEEDLESS_OPTIONS,
    "Not done": REFUSALS,
}

_KEY = {option.name: option for option in DATA if option.name.startswith("encrypt-")}

STREAM_SECTIONS: dict[str, tuple[Option, ...]] = {
    "What is done": (
        Option(
            "extract",
            ACTION,
            "Unpack the stream from standard input.",
            DIFFERENT,
            "Files appear only when all of the stream is there and right, and an empty stream, or that of a backup "
            "which ends early, is an error. Files of a data directory are taken for such a backup when the system "
            "tablespace or a redo log is among them.",
            short="x",
        ),
        Option("create", ACTION, "Send the named files to standard output as a stream.", SAME, short="c"),
        Option("help", ACTION, "Show this text.", short="?"),
        Option("version", ACTION, "Show the version."),
    ),
    "How": (
        Option("directory", TEXT, "The directory to unpack into, or that the named files are in.", short="C"),
        Option(
            "parallel",
            NUMBER,
            "Files that are unpacked at a time.",
            DIFFERENT,
            "--create sends one file after the other.",
            short="p",
            parameter="parallel",
            default=1,
        ),
        Option("verbose", FLAG, "Name each file.", short="v"),
        Option(
            "decompress",
            FLAG,
            "Decompress what is compressed with zstd or lz4.",
            DIFFERENT,
            "What was unpacked is compared with the manifest. quicklz (.qp) is refused.",
            P,
            parameter="decoding",
        ),
        Option(
            "decompress-threads",
            NUMBER,
            "Threads that decompress.",
            DIFFERENT,
            "The larger of this and --parallel is the number of files that are unpacked at a time.",
            P,
            parameter="parallel",
        ),
        Option(
            "decrypt",
            TEXT,
            "Decrypt what is encrypted with this algorithm.",
            SAME,
            "",
            P,
            short="d",
            choices=("AES128", "AES192", "AES256"),
            parameter="decrypt_key",
        ),
        Option(
            "encrypt-key", TEXT, "The key itself.", DIFFERENT, _KEY["encrypt-key"].remark, P, short="k", secret=True
        ),
        Option(
            "encrypt-key-file",
            TEXT,
            "A file that holds the key and nothing else.",
            DIFFERENT,
            _KEY["encrypt-key-file"].remark,
            P,
            short="f",
            parameter="decrypt.key_file",
        ),
        Option(
            "encrypt-threads",
            NUMBER,
            "Threads that decrypt.",
            DIFFERENT,
            "As --decompress-threads.",
            P,
            parameter="parallel",
        ),
        Option(
            "absolute-names",
            FLAG,
            "Take names that begin with / or step out of the directory.",
            REFUSED,
            "A stream must not write wherever it likes.",
            P,
            short="P",
        ),
        *(
            Option(name, kind, text, REFUSED, "One stream does: it is as fast as the disks.", P, off=("0", "1"))
            for name, kind, text in (
                ("fifo-streams", NUMBER, "Several streams through named pipes."),
                ("fifo-dir", TEXT, "Where the named pipes are."),
                ("fifo-timeout", NUMBER, "Seconds to wait for them."),
            )
        ),
    ),
}


def sections_of(dialect: ToolDialect) -> dict[str, list[Option]]:
    """The options of a tool, by section."""
    sections = STREAM_SECTIONS if dialect.tool == STREAM else BACKUP_SECTIONS
    # what only Percona's xbstream has does no harm in mbstream, and unpacks what we write
    everything = dialect.tool == STREAM
    return {
        title: [option for option in options if everything or option.is_of(dialect)]
        for title, options in sections.items()
    }


def options_of(dialect: ToolDialect) -> dict[str, Option]:
    """The options of a tool, by name."""
    return {option.name: option for options in sections_of(dialect).values() for option in options}
