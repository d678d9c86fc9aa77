# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The destinations that a module's options can name: a new one is a file and a line here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InvalidOption, Option
from .archive import Archive
from .base import Destination, Encoding, StreamDestination
from .command import Command
from .directory import Directory
from .network import Tcp, Tls

#: by their key in ``stream_to``
STREAMS: dict[str, type[StreamDestination]] = {kind.key: kind for kind in (Command, Tcp, Tls)}


def from_options(options: Mapping[str, Any]) -> Destination:
    """The destination that the options of ``xtrabackup_backup`` describe; raises InvalidOption or TargetUnsafe."""
    plain = options["dest"] is not None and options["format"] == Directory.format
    if options["digests"] and plain:
        raise InvalidOption(
            f"{Option('digests')}: only an archive or a stream has digests of its own; the manifest has those of the "
            "files",
            remedy=f"Say {Option('format', 'xbstream')} or {Option('stream_to')}, or leave {Option('digests')} out.",
            option="digests",
        )
    encoding = Encoding.from_options(options)
    if options["dest"] is None:
        key, value = next((key, value) for key, value in options["stream_to"].items() if value is not None)
        return STREAMS[key].from_option(value, encoding)
    path = Path(os.path.abspath(options["dest"]))
    if not plain:
        return Archive(path, options["force"], encoding)
    destination = Directory(path, options["force"])
    for name, why in (
        ("compress", "a directory keeps its files as they are"),
        ("encrypt", "a directory keeps its files as they are"),
        ("sparse", "a directory keeps holes as they are"),
    ):
        if options[name]:
            raise InvalidOption(
                f"{Option(name)}: {why}",
                remedy=f"Say {Option('format', 'xbstream')}, or leave {Option(name)} out.",
                option=name,
            )
    return destination
