"""Draws the pictures of the README anew: `python -m tests.screens.make_screenshots` walks the sandbox by keys.

Takes a few minutes. Every picture is of the real wizard over the embedded AWS.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from screens.app import WizardApp
from screens.asking import Tell
from screens.results import Changes, Tables
from tests.screens.test_demo import LONG, sandbox_session, walk
from tests.screens.test_wizard import until
from wizard.sandbox.demo import start_demo

FOLDER = Path(__file__).parents[2] / ".github" / "screens"
WANTED = {
    "step 1": "first-step",
    "asking 4b": "typed-word",
    "running 6c apply": "applying",
    "step 7": "cleanup",
}


async def draw(folder: Path) -> None:
    """Walk the whole journey and save the wanted moments."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with start_demo(folder) as demo:
        os.environ.update(demo.environment())
        os.environ["HOME"] = str(folder)  # so that the pictures show `~/…`, not where this run keeps its files
        session = sandbox_session(demo, folder / "amplify-migration")
        with session.listening():
            app = WizardApp(session)

            def picture(moment: str) -> None:
                if name := WANTED.pop(moment, ""):
                    app.save_screenshot(f"{name}.svg", str(FOLDER))

            async with app.run_test(size=(110, 34)) as pilot:
                await until(pilot, lambda: bool(session.facts.by_name), LONG)
                await walk(pilot, demo.csv, picture)
                await until(pilot, lambda: isinstance(app.screen, Tell), LONG)  # the end
                await pilot.press("escape")
                app.set_focus(None)
                await pilot.press("v")
                await until(pilot, lambda: isinstance(app.screen, Tables) and app.screen.table.row_count > 0, LONG)
                await pilot.pause(0.3)
                app.save_screenshot("plan.svg", str(FOLDER))
                app.screen.table.move_cursor(row=next(
                    index for index, key in enumerate(app.screen.table.rows) if "OBJECT_ACCESS" in str(key.value)
                ))  # fmt: skip
                await pilot.press("enter")
                await until(pilot, lambda: isinstance(app.screen, Changes) and app.screen.table.row_count > 0, LONG)
                await pilot.press("enter")
                await pilot.pause(0.5)
                app.save_screenshot("change.svg", str(FOLDER))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="screens-") as temporary:
        asyncio.run(draw(Path(temporary)))
