# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that say what is done, with what, and where to."""

from __future__ import annotations

from .option import ACTION, BOTH, DIFFERENT, FLAG, NEEDLESS, NUMBER, OPTIONAL, REFUSED, SAME, SIZE, TEXT, M, Option, P

#: why nothing is put into a data directory that holds something, and what to do
NOT_EMPTY = "The files of two servers must not be mixed. Move the existing files away; lost+found may stay."

ACTIONS = (
    Option(
        "backup",
        ACTION,
        "Take a full backup of the running server into --target-dir, or with --stream to standard output.",
        DIFFERENT,
        "A new directory appears under its name only when the backup is complete and on disk; one that was there is "
        "refused by --prepare until then. Files are named, with sizes and digests, in xtrabackup_manifest.json, which "
        "the stock tools do not mind.",
    ),
    Option(
        "prepare",
        ACTION,
        "Make the backup in --target-dir consistent, where it is.",
        DIFFERENT,
        "The server that is installed here recovers it, in an isolated run: it must be there, in the version of the "
        "backup. What is prepared already stays as it is.",
    ),
    Option(
        "copy-back",
        ACTION,
        "Copy the prepared backup in --target-dir to where the option files say.",
        DIFFERENT,
        "All of it waits beside the data directory until it is whole, and belongs to the server's user already. A "
        "running server is noticed and left alone.",
        parameter="method",
    ),
    Option(
        "move-back",
        ACTION,
        "As --copy-back; the backup's files are moved.",
        DIFFERENT,
        "As --copy-back; and what is left of the backup is removed. A backup that another tool has prepared cannot be "
        "moved, only copied.",
        parameter="method",
    ),
    Option(
        "decompress",
        FLAG,
        "Decompress the files of the backup in --target-dir.",
        DIFFERENT,
        "zstd (.zst) and lz4 (.lz4); quicklz (.qp) is refused. What was unpacked, now or before, is compared with the "
        "manifest, and made anew when it differs.",
        parameter="decoding",
    ),
    Option(
        "decrypt",
        TEXT,
        "Decrypt the files of the backup in --target-dir, which were encrypted with this algorithm.",
        DIFFERENT,
        "With another key nothing is changed. Of files without a hash (xbcrypt 1 and 2) at least one must prove the "
        "key: a compressed file, a tablespace or metadata.",
        vendors=P,
        choices=("AES128", "AES192", "AES256"),
        parameter="decrypt_key",
    ),
    Option("stats", ACTION, "Print statistics of indexes.", REFUSED, "Ask the server for them.", P),
    Option(
        "print-param",
        ACTION,
        "Print the server's parameters that --copy-back goes by.",
        REFUSED,
        "--print-defaults and my_print_defaults show them.",
    ),
    Option("help", ACTION, "Show this text.", short="?"),
    Option("version", ACTION, "Show the version.", short="v"),
)

DATA = (
    Option(
        "target-dir",
        TEXT,
        "The backup's directory.",
        DIFFERENT,
        "It must be absent or empty for a backup. One that is there is filled where it is: it keeps owner and mode, "
        "may be the current directory or a mount point, and its parents need not be writable. With --stream nothing is "
        "written there. It may be given as the only word without an option, too, as on Percona's streaming page.",
        parameter="dest",
        default="./xtrabackup_backupfiles/",
    ),
    Option(
        "stream",
        OPTIONAL,
        "Send the backup to standard output as a stream: xbstream or mbstream, which are the same format.",
        SAME,
        vendors=P,
        choices=("xbstream", "mbstream"),
        implied="xbstream",
        parameter="format",
    ),
    Option(
        "stream",
        TEXT,
        "Send the backup to standard output as a stream: xbstream or mbstream, which are the same format.",
        SAME,
        vendors=M,
        choices=("xbstream", "mbstream"),
        parameter="format",
    ),
    Option(
        "compress",
        OPTIONAL,
        "Compress the files, each for itself, with zstd or lz4.",
        DIFFERENT,
        "mariadb-backup knows only quicklz, which nobody maintains any more; here it is zstd unless lz4 is named. "
        "Metadata files stay readable.",
        choices=("zstd", "lz4"),
        implied="zstd",
        parameter="compress.algorithm",
    ),
    Option(
        "compress-threads",
        NUMBER,
        "Threads that compress, for all files together.",
        parameter="compress.threads",
        default=1,
    ),
    Option("compress-zstd-level", NUMBER, "Level of zstd, 1 to 19.", vendors=P, parameter="compress.level", default=1),
    Option(
        "compress-chunk-size",
        SIZE,
        "Size of the buffers of the threads that compress.",
        NEEDLESS,
        "Blocks are of a fixed size, so that memory is bounded already.",
    ),
    Option(
        "decompress-threads",
        NUMBER,
        "Threads that decompress.",
        DIFFERENT,
        "The larger of this and --parallel is the number of files that are unpacked at a time.",
        vendors=P,
        parameter="parallel",
    ),
    Option(
        "encrypt",
        TEXT,
        "Encrypt the files, each for itself.",
        DIFFERENT,
        "Moreover the manifest is authenticated: files that were changed, left out or exchanged are noticed.",
        vendors=P,
        choices=("AES128", "AES192", "AES256"),
        parameter="encrypt.algorithm",
    ),
    Option(
        "encrypt-key",
        TEXT,
        "The key itself. In a file it is better off.",
        DIFFERENT,
        "It is blanked in the process list at once, as the password is.",
        vendors=P,
        parameter="encrypt.key",
        secret=True,
    ),
    Option(
        "encrypt-key-file",
        TEXT,
        "A file that holds the key and nothing else.",
        DIFFERENT,
        "Refused when everybody may read it.",
        vendors=P,
        parameter="encrypt.key_file",
    ),
    Option(
        "encrypt-threads",
        NUMBER,
        "Threads that encrypt.",
        DIFFERENT,
        "The threads that compress encrypt, too: the larger of the two numbers is taken.",
        vendors=P,
        parameter="compress.threads",
        default=1,
    ),
    Option(
        "encrypt-chunk-size",
        SIZE,
        "Size of the buffers of the threads that encrypt.",
        NEEDLESS,
        "Blocks are of a fixed size, so that memory is bounded already.",
        vendors=P,
    ),
    Option(
        "read-buffer-size",
        OPTIONAL,
        "Size of the buffer that files are read with.",
        NEEDLESS,
        "Buffers are of a fixed size, so that memory is bounded already.",
        vendors=P,
    ),
    Option("parallel", NUMBER, "Files at a time.", parameter="parallel", default=1, minimum=1),
    Option(
        "throttle",
        TEXT,
        "Limit of what is read of the data files, in pieces of 10 MiB a second.",
        DIFFERENT,
        "Also with a unit, as bytes a second: 25MiB.",
        parameter="throttle",
        default="0",
    ),
    Option(
        "force-non-empty-directories",
        FLAG,
        "Put files back into directories that are not empty.",
        DIFFERENT,
        "Accepted when the data directory is empty; it then has no effect. A directory that is not empty is refused. "
        f"{NOT_EMPTY}",
        parameter="(never)",
    ),
    Option("remove-original", FLAG, "Remove the packed files once they are unpacked.", parameter="remove_original"),
    Option(
        "extra-lsndir",
        TEXT,
        "A directory for one more copy of xtrabackup_checkpoints and xtrabackup_info.",
        parameter="extra_lsn_directory",
    ),
    Option(
        "tmpdir",
        TEXT,
        "A directory for redo log that a slow stream has not taken yet.",
        DIFFERENT,
        "Of several, separated by colons, the first is used; [mysqld] has no say in it, since servers clean their own. "
        "/var/tmp by default.",
        short="t",
        parameter="spool_directory",
    ),
    Option(
        "use-memory",
        SIZE,
        "Memory for --prepare.",
        DIFFERENT,
        "By default as much as the redo log needs and the host has, instead of 100 MB.",
        parameter="use_memory",
    ),
    Option(
        "use-free-memory-pct",
        NUMBER,
        "Memory for --prepare, as a share of what is free, in per cent.",
        DIFFERENT,
        "Works for every backup, whether --estimate-memory was given or not.",
        vendors=P,
        parameter="use_memory",
        default=0,
    ),
    Option(
        "estimate-memory",
        FLAG,
        "Estimate while the backup is taken how much memory --prepare will need.",
        NEEDLESS,
        "--prepare looks into the redo log itself.",
        vendors=P,
    ),
    Option(
        "server-program",
        TEXT,
        "The server's program that recovers the backup in --prepare.",
        parameter="server_program",
        ours=True,
    ),
    Option(
        "keyring-file",
        TEXT,
        "The file of the server's component_keyring_file, for MySQL's encrypted tables.",
        parameter="keyring_file",
        ours=True,
    ),
    Option(
        "allow-missing-tables",
        TEXT,
        "Tables (database.table,...) whose data file may be missing on the server; the backup is one without their "
        "data.",
        parameter="allow_missing_tables",
        ours=True,
    ),
    Option(
        "open-files-limit",
        NUMBER,
        "How many files may be open, as far as the system allows.",
        parameter="RLIMIT_NOFILE",
        default=0,
    ),
    Option(
        "verbose",
        FLAG,
        "Say what is done: sessions, locks with the time that they took, files, the redo log, processes.",
        short="V",
        vendors=BOTH,
    ),
)
