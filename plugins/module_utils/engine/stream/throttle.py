# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A limit on bytes per second, shared by all threads of a job (a token bucket)."""

from __future__ import annotations

import threading
import time
from typing import Callable

from ..errors import Cancelled, InvalidOption, Option

_BURST = 0.1  # seconds whose unused bytes are kept for later


class Throttle:
    """At most ``bytes_per_second``, on average over any time longer than a moment. Thread-safe."""

    def __init__(self, bytes_per_second: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        if bytes_per_second <= 0:
            raise InvalidOption(
                f"{Option('throttle')}: {bytes_per_second} bytes per second is not a rate", option="throttle"
            )
        self._rate = bytes_per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._paid_until = clock()

    def take(self, count: int, cancelled: threading.Event) -> None:
        """Pay for ``count`` bytes that were, or are about to be, moved: waits until the rate allows them.

        Raises Cancelled as soon as ``cancelled`` is set.
        """
        with self._lock:
            start = max(self._paid_until, self._clock() - _BURST)
            self._paid_until = until = start + count / self._rate
        while True:
            if cancelled.is_set():
                raise Cancelled("stopped while waiting for the throttle")
            left = until - self._clock()
            if left <= 0:
                return
            cancelled.wait(left)
