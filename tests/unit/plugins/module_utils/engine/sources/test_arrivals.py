# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option ``listen`` becomes a source."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import InvalidOption
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources import arrivals
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.network import TcpSource, TlsSource
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.admission import AllowedNetworks
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.session_credentials import (
    StoredCredentials,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tcp_receiver import TcpListenOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_listener import ListenOptions
from ansible_collections.innodb.xtrabackup.plugins.modules import xbstream


def listen(**given: Any) -> dict[str, Any]:
    """The option, as Ansible hands it over."""
    return {
        "plain": False,
        "tls": None,
        "port": 4567,
        "address": "127.0.0.1",
        "timeout": "5s",
        "accept_timeout": "1m",
        "from": [],
        **given,
    }


def test_options_become_sources() -> None:
    anywhere = AllowedNetworks.parse([])
    plain = arrivals.arriving(listen(plain=True))
    assert plain == TcpSource(TcpListenOptions(4567, "127.0.0.1", 5.0, 60.0, anywhere))
    tls = arrivals.arriving(listen(tls={"credentials": "/etc/receiver.json"}))
    assert isinstance(tls, TlsSource)
    assert isinstance(tls.listen, ListenOptions)
    assert (tls.listen.port, tls.listen.credentials) == (4567, StoredCredentials("/etc/receiver.json"))
    assert tls.location == plain.location == "127.0.0.1:4567"


@pytest.mark.parametrize("given", [{}, {"plain": True, "tls": {"credentials": "/etc/receiver.json"}}])
def test_exactly_one_sender_is_waited_for(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption, match="either tls or plain"):
        arrivals.arriving(listen(**given))


def test_who_is_not_authenticated_is_warned_of() -> None:
    assert "both ends prove who they are" in arrivals.arriving(listen(plain=True)).warnings()[0]
    assert arrivals.arriving(listen(tls={"credentials": "/etc/receiver.json"})).warnings() == []


def test_the_module_names_the_senders_that_are_registered() -> None:
    assert set(arrivals.ARRIVING) <= set(yaml.safe_load(xbstream.DOCUMENTATION)["options"]["listen"]["suboptions"])
