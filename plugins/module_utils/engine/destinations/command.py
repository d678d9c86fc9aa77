# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command that reads the stream, or a file descriptor that is open already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..stream.descriptor_sink import DescriptorSink
from ..stream.sink import Sink
from ..transport.command import CommandSink
from .base import Destination, Encoding, StreamDestination


@dataclass(frozen=True)
class Command(StreamDestination):
    """A pipeline of ``commands``, lists of words; no shell."""

    commands: tuple[tuple[str, ...], ...]
    encoding: Encoding = field(default_factory=Encoding)

    key: ClassVar[str] = "command"

    @classmethod
    def from_option(cls, value: Sequence[Sequence[Any]], encoding: Encoding) -> Command:
        return cls(tuple(tuple(str(word) for word in command) for command in value), encoding)

    def open(self) -> Sink:
        return CommandSink(self.commands, **self.encoding.read())

    def describe(self) -> dict[str, Any]:
        return {"stream_to": "command"}


@dataclass(frozen=True)
class Descriptor(Destination):
    """The file descriptor ``number``, by default standard output. Only the command line has it."""

    number: int
    encoding: Encoding = field(default_factory=Encoding)

    def open(self) -> Sink:
        options = self.encoding.read()
        return DescriptorSink(self.number, compress=options["compress"], encrypt_key=options["encrypt_key"])

    def describe(self) -> dict[str, Any]:
        return {"stream_to": "descriptor"}
