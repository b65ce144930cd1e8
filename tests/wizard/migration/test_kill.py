"""`kill -9` at the worst instants: a write that AWS has carried out and nobody has recorded, or one that never arrived.

The same command then goes on, and in the end every item and object is as after an undisturbed run: nothing twice (the
costs that are summed would show it), nothing lost.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Aws
from tests.emulators import moto
from tests.wizard.migration.doom import Doom, doomed
from tests.wizard.migration.test_faults import State, differences, finish, plan_in, run_in, start, state
from tests.wizard.sandbox.other_deployment import build
from wizard.migration import apply, cleanup, verify

APPLY = ("migrate", "apply", "--yes")
CLEANUP = ("cleanup", "apply", "--force")
ROLLBACK = ("rollback", "--confirm", "ROLLBACK")


@dataclass(frozen=True)
class Case:
    """A seeded deployment with a plan, reached through the proxy that kills."""

    aws: Aws
    way: Aws
    doom: Doom
    workspace: Path

    def run(self, *words: str) -> None:
        """Undisturbed, and it must end well."""
        self.doom.aim(0)
        finish(self.way, self.workspace, *words)

    def die(self, *words: str) -> int:
        """Run until it is struck, or to its end; the status, negative for a signal."""
        self.doom.victim = start(self.way, self.workspace, *words)
        output, _ = self.doom.victim.communicate(timeout=120)
        assert self.doom.victim.returncode in (0, -signal.SIGKILL), output
        return self.doom.victim.returncode


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with moto(tmp_path_factory.mktemp("moto")) as aws:
        yield aws


@pytest.fixture
def case(server: Aws, tmp_path: Path) -> Iterator[Case]:
    server.reset()
    build(server)
    with doomed(server) as (way, doom):
        plan_in(run_in(server, tmp_path / "workspace"), tmp_path)
        yield Case(server, way, doom, tmp_path / "workspace")


@pytest.fixture(scope="module")
def undisturbed(server: Aws, tmp_path_factory: pytest.TempPathFactory) -> tuple[State, State, State]:
    """The deployment as seeded, after apply, and after cleanup."""
    folder = tmp_path_factory.mktemp("undisturbed")
    server.reset()
    build(server)
    seeded, context = state(server), run_in(server, folder / "workspace")
    plan_in(context, folder)
    apply.apply_plan(context)
    verify.verify_plan(context)
    applied = state(server)
    cleanup.apply_cleanup(context)
    return seeded, applied, state(server)


def test_killed_at_random_writes_it_ends_the_same(undisturbed: tuple[State, State, State], case: Case) -> None:
    _, applied, cleaned = undisturbed
    chance = random.Random(20)
    for committed in (True, False, True):
        case.doom.aim(chance.randint(2, 16), committed=committed)
        assert case.die(*APPLY) == -signal.SIGKILL
    case.run(*APPLY)
    case.run("migrate", "verify")
    assert differences(state(case.aws), applied) == []
    for committed in (True, False):
        case.doom.aim(chance.randint(2, 8), committed=committed)
        assert case.die(*CLEANUP) == -signal.SIGKILL
    case.run(*CLEANUP)
    case.run("cleanup", "verify")
    assert differences(state(case.aws), cleaned) == []


def test_a_rollback_that_was_killed_puts_everything_back(undisturbed: tuple[State, State, State], case: Case) -> None:
    case.doom.aim(40)
    assert case.die(*APPLY) == -signal.SIGKILL
    case.run(*APPLY)
    for at in (8, 30):
        case.doom.aim(at)
        assert case.die(*ROLLBACK) == -signal.SIGKILL
    case.run(*ROLLBACK)
    assert differences(state(case.aws), undisturbed[0]) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "result"), [(APPLY, 1), (CLEANUP, 2), (ROLLBACK, 0)], ids=["apply", "cleanup", "rollback"]
)
def test_killed_at_every_single_write(
    undisturbed: tuple[State, State, State], case: Case, command: tuple[str, ...], result: int
) -> None:
    """Each process gets one write further than the one before, and dies before it knows."""
    if command is not APPLY:
        case.run(*APPLY)
        case.run("migrate", "verify")
    deaths = 0
    while True:
        case.doom.aim(1)
        if case.die(*command, "--workers", "1") == 0:
            break
        deaths += 1
    assert deaths > 20
    assert differences(state(case.aws), undisturbed[result]) == []
