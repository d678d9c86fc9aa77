# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of the ends of connections in messages."""

from __future__ import annotations


def endpoint(host: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets as in a URL (RFC 3986)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
