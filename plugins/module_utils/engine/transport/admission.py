# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Admission to a receiver's port: allowed addresses, and a limit of connections that are not authenticated yet.

Unauthenticated peers cannot be kept from connecting, but they must not keep the sender out. So a newcomer is never
turned away because others are waiting: one of these makes room. It is one of the newcomer's own address where that has
its share already, otherwise one of the address that has the most. Which one is left to chance, so that no rate of
newcomers is sure to push out a certain connection; a sender that lost its place tries again.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, Union

from ..errors import InvalidOption

LIMIT = 128  # connections that may be waiting
SHARE = 16  # connections of one address that may be
_SITE = 64  # bits of an IPv6 address that tell one host's network from another's

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
T = TypeVar("T")


def address_of(host: str) -> Address:
    """The address ``host`` of a socket, in the form that people know: ``::ffff:192.0.2.1`` is 192.0.2.1."""
    found = ipaddress.ip_address(host.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


@dataclass(frozen=True)
class AllowedNetworks:
    """The networks from which a sender may come; none: from anywhere."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, wanted: Iterable[str], *, option: str = "listen.from") -> AllowedNetworks:
        """Those that ``wanted`` names, addresses or networks; raises InvalidOption naming ``option``."""
        return cls(tuple(_network(text, option) for text in wanted))

    def has(self, host: str) -> bool:
        """Returns whether a sender may come from the address ``host``."""
        if not self.networks:
            return True
        address = address_of(host)
        return any(address in network for network in self.networks)


ANYWHERE = AllowedNetworks()


class WaitingConnections(Generic[T]):
    """The connections that have proven nothing yet. Not for several threads at once."""

    def __init__(self, limit: int = LIMIT, share: int = SHARE) -> None:
        self._limit = limit
        self._share = share
        self._origins: dict[T, str] = {}

    def __len__(self) -> int:
        return len(self._origins)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._origins))

    def __contains__(self, item: object) -> bool:
        return item in self._origins

    def admit(self, item: T, host: str) -> T | None:
        """Let ``item`` wait, which came from the address ``host``; returns the one that had to make room for it."""
        origin, evicted = _origin(host), None
        counts = Counter(self._origins.values())
        if counts[origin] >= self._share:
            evicted = self._evict([origin])
        elif len(self) >= self._limit:
            most = max(counts.values())
            evicted = self._evict([name for name, count in counts.items() if count == most])
        self._origins[item] = origin
        return evicted

    def leave(self, item: T) -> bool:
        """``item`` waits no longer; returns whether it did."""
        return self._origins.pop(item, None) is not None

    def _evict(self, origins: Sequence[str]) -> T:
        chosen = secrets.choice([item for item, origin in self._origins.items() if origin in origins])
        del self._origins[chosen]
        return chosen


def _origin(host: str) -> str:
    """Returns what counts as one address: of IPv6 a network, in which one host may have as many addresses as it
    likes."""
    address = address_of(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, _SITE), strict=False))
    return str(address)


def _network(text: str, option: str) -> Network:
    try:
        network = ipaddress.ip_network(text.strip())
    except ValueError as error:
        raise InvalidOption(
            f"{option}: {error}",
            remedy="Give addresses (192.0.2.7, 2001:db8::7) or networks (192.0.2.0/24, 2001:db8::/32), no names.",
            option=option,
        ) from None
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen == network.max_prefixlen:
        return ipaddress.ip_network(address_of(str(network.network_address)))
    return network
