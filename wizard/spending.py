"""What a run spends in AWS: a budget of capacity units per second, and the count of requests and units so far."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


class Budget:
    """A token bucket of capacity units per second, paid after the fact from what AWS reports as consumed.

    `rate` 0 means unlimited. Whoever sends waits for `wait_seconds` while it is overdrawn, so that the average stays at the rate.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic):
        self.rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._level = rate
        self._at = clock()

    def wait_seconds(self) -> float:
        """Seconds until the next request may go."""
        if self.rate <= 0:
            return 0.0
        with self._lock:
            now = self._clock()
            self._level = min(self.rate, self._level + (now - self._at) * self.rate)
            self._at = now
            return 0.0 if self._level > 0 else -self._level / self.rate + 0.001

    def spend(self, units: float) -> None:
        with self._lock:
            self._level -= units


class Costs:
    """Requests and capacity units so far, by operation; for reports and benchmarks. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests: dict[str, int] = {}
        self.read_units = 0.0
        self.write_units = 0.0

    def add(self, operation: str, read: float, write: float) -> None:
        with self._lock:
            self.requests[operation] = self.requests.get(operation, 0) + 1
            self.read_units += read
            self.write_units += write

    def copy(self) -> Costs:
        """What was spent until now, to compare with later."""
        with self._lock:
            copy = Costs()
            copy.requests, copy.read_units, copy.write_units = dict(self.requests), self.read_units, self.write_units
        return copy

    def since(self, before: Costs) -> dict[str, Any]:
        """`{"requests": {operation: count}, "read_units", "write_units"}` since a copy was taken."""
        now = self.copy()
        spent = {name: count - before.requests.get(name, 0) for name, count in sorted(now.requests.items())}
        return {
            "requests": {name: count for name, count in spent.items() if count},
            "read_units": round(now.read_units - before.read_units, 3),
            "write_units": round(now.write_units - before.write_units, 3),
        }
