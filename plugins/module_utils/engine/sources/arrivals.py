# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The senders that the option ``listen`` of the module xbstream can name: a new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InvalidOption
from .network import ArrivingSource, TcpSource, TlsSource

#: by their key in ``listen``
ARRIVING: dict[str, type[ArrivingSource]] = {kind.key: kind for kind in (TcpSource, TlsSource)}


def arriving(listen: Mapping[str, Any]) -> ArrivingSource:
    """The source that the option ``listen`` describes; raises InvalidOption."""
    wanted = [key for key in ARRIVING if listen[key]]
    if len(wanted) != 1:
        raise InvalidOption("listen: either tls or plain: true is needed", option="listen")
    return ARRIVING[wanted[0]].from_options(listen)
