"""How long an apply will take and what it costs, from counts and from what earlier runs in the workspace took. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

REQUESTS_A_CHANGE = 2  # a copy and its check; an item takes little more than its write
ENOUGH = 50  # changes or requests that a run must have made for its rate to count
# On-demand prices of us-east-1 (2026): a million write units, a million read units, a million COPY and HEAD requests.
WRITE_UNIT, READ_UNIT, COPY, HEAD = 0.625e-6, 0.125e-6, 5e-6, 0.4e-6
UNITS_A_CHANGE = 3  # of an item below 1 KB in a table with two indexes, until a run has measured it


def of_apply(
    runs: Sequence[Mapping[str, Any]], waiting: Mapping[str, int], max_write_units: float = 0
) -> dict[str, Any]:
    """What the next apply comes to.

    Args:
        runs: of the ledger, oldest first: {"step", "started", "ended", "detail": {"done", "costs": {…}}}.
        waiting: number of planned changes by kind (item, object, content).
        max_write_units: what the operator lets it take a second; 0 is no bound.

    Returns:
        {"seconds": float or None while nothing was measured, "dollars": float, "basis": where the rate comes from}.
    """
    changes = sum(waiting.values())
    rate, basis = _rate(runs)
    objects = waiting.get("object", 0)
    units = (changes - objects) * _units(runs)
    dollars = units * WRITE_UNIT + (changes - objects) * READ_UNIT + objects * (COPY + HEAD)
    seconds = changes / rate if rate else None
    if max_write_units and units / max_write_units > (seconds or 0):
        seconds = units / max_write_units
        basis = f"`--max-write-units {max_write_units:g}` is the bound, at {_units(runs):.1f} units a change"
    return {"seconds": seconds, "dollars": dollars, "basis": basis}


def _rate(runs: Sequence[Mapping[str, Any]]) -> tuple[float, str]:
    """Changes per second: of the last apply, else what the requests of the last plan allow; 0.0 without either."""
    for run in reversed(runs):
        seconds = run["ended"] - run["started"]
        if run["step"] == "6c" and seconds > 0 and run["detail"].get("done", 0) >= ENOUGH:
            rate = run["detail"]["done"] / seconds
            return rate, f"the last apply made {rate:,.0f} a second"
    for run in reversed(runs):
        seconds = run["ended"] - run["started"]
        requests = sum(run["detail"].get("costs", {}).get("requests", {}).values())
        if run["step"] == "6b" and seconds > 0 and requests >= ENOUGH:
            rate = requests / seconds
            return rate / REQUESTS_A_CHANGE, f"the plan made {rate:,.0f} requests a second, counting two for a change"
    return 0.0, ""


def _units(runs: Sequence[Mapping[str, Any]]) -> float:
    """Write units of a change: those of the last apply, else a usual item's."""
    for run in reversed(runs):
        done, spent = run["detail"].get("done", 0), run["detail"].get("costs", {}).get("write_units", 0)
        if run["step"] == "6c" and done >= ENOUGH and spent:
            return float(spent / done)
    return UNITS_A_CHANGE


def duration(seconds: float) -> str:
    """`less than a minute`, `about 12 minutes`, `about 3 hours`; a quarter is added, since estimates are kind."""
    minutes = seconds * 1.25 / 60
    if minutes < 1:
        return "less than a minute"
    if minutes < 100:
        return f"about {round(minutes) or 1} minute{'s' if round(minutes) > 1 else ''}"
    return f"about {minutes / 60:,.0f} hours"
