# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A request that says it is of a time to come is refused wherever it is read, and never stands in the way of others."""

from __future__ import annotations

import time

import pytest
import yaml

from ansible_collections.innodb.xtrabackup.plugins.filter.restore_request import restore_request
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import InvalidOption, RequestSuperseded
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.request import (
    CarriedOut,
    Request,
    find_carried_out,
    request_from_options,
    utc_now,
)

from .test_restore_requests import request

FAR = "9999-12-31T23:59:59Z"


def later(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


@pytest.mark.parametrize("seconds", [None, 2 * 3600])
def test_it_is_refused_on_the_controller_and_on_the_host(seconds: int | None) -> None:
    created = FAR if seconds is None else later(seconds)
    (problem,) = restore_request(yaml.safe_dump(request(created=created)))["problems"]
    assert problem.startswith(f"created: {created} is more than an hour in the future")
    assert "under another id" in problem
    with pytest.raises(InvalidOption, match=r"request\.created: .* in the future") as refused:
        request_from_options({"id": "r", "sha256": "a" * 64, "created": created})
    assert "date -u" in refused.value.remedy


@pytest.mark.parametrize("seconds", [0, 1800])
def test_clocks_may_differ(seconds: int) -> None:
    created = later(seconds)
    assert restore_request(yaml.safe_dump(request(created=created)))["problems"] == []
    assert request_from_options({"id": "r", "sha256": "a" * 64, "created": created}).created == created


def test_one_that_an_older_version_has_carried_out_is_in_the_way_of_older_ones_only() -> None:
    history = (CarriedOut("evil", "a" * 64, FAR, "/srv/full", "b" * 64, "2026-11-28T10:00:00Z"),)
    assert find_carried_out(Request("new", "c" * 64, utc_now()), history) is None
    with pytest.raises(RequestSuperseded, match="evil"):
        find_carried_out(Request("old", "d" * 64, "2026-11-28T09:00:00Z"), history)


@pytest.mark.parametrize("name", ["all", "ungrouped"])
def test_names_of_groups_that_every_inventory_has_are_refused_by_the_review(name: str) -> None:
    (problem,) = restore_request(yaml.safe_dump(request(host=name)))["problems"]
    assert problem == (
        f"hosts[0]: \"{name}\" is no name of a host: letters, digits, '_', '.' and '-', and not all or ungrouped, "
        "which are groups"
    )
    assert restore_request(yaml.safe_dump(request(host=f"{name}-1")))["problems"] == []
