# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make fuzz` explores for minutes, here for moments: damaged input gives an error of ours and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.innodb.xtrabackup.tests.fuzz.targets import TARGETS

_SEEDS = {name: target.seeds() for name, target in TARGETS.items()}


@pytest.mark.parametrize("name", TARGETS)
def test_valid_input_is_read(name: str) -> None:
    for seed in _SEEDS[name]:
        TARGETS[name].run(seed)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_input_is_an_error_of_ours(name: str, data: st.DataObject) -> None:
    """Cut, overwritten, doubled and swapped pieces of valid input."""
    damaged = bytearray(data.draw(st.sampled_from(_SEEDS[name])))
    for dummy in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(damaged)))
        end = data.draw(st.integers(start, min(len(damaged), start + 64)))
        damaged[start:end] = data.draw(st.one_of(st.binary(max_size=16), st.just(bytes(damaged[:end])[-32:])))
    if damaged:
        TARGETS[name].run(bytes(damaged))
