"""The table of what runs: its columns share the width by what is in them, and nothing is left to wait for at the end."""

from __future__ import annotations

from textual.app import App, ComposeResult

from screens.widgets.progress import ProgressTable
from tests.screens.test_wizard import screen_text
from wizard.events import Progress

TABLE = "amplify-v6-assistants-dev-code-interpreter-assistants"


class Shown(App[None]):
    CSS = "ProgressTable { height: auto; }"

    def compose(self) -> ComposeResult:
        yield ProgressTable()


async def test_columns_are_as_wide_as_what_is_in_them() -> None:
    app = Shown()
    async with app.run_test(size=(80, 24)) as pilot:
        table = app.query_one(ProgressTable)

        async def rows(*reports: Progress) -> list[str]:
            for report in reports:
                table.take(report)
            table.flush()
            await pilot.pause()
            return [line.rstrip() for line in screen_text(app).split("\n") if line.strip()][1:]

        await rows(Progress("services", 1, 15, "services", "waiting for amplify-agent-loop"))
        shown = await rows(Progress("/user-data", 0, None, "", "waiting; basic-ops owns it"))
        assert "waiting for amplify-agent-loop  1/15" in shown[0]
        assert "waiting; basic-ops owns it" in shown[1] and " 0" not in shown[1]
        shown = await rows(Progress(TABLE, 1_234_567, 12_345_678, "items", "apply"))
        assert "…erpreter-assistants" in shown[2] and "1,234,567/12,345,678" in shown[2] and shown[2].endswith("…")
        assert all(len(line) <= 79 for line in shown)
        await pilot.resize_terminal(150, 24)
        shown = await rows()
        assert TABLE in shown[2] and "waiting for amplify-agent-loop" in shown[0]
        table.end()
        assert not any(line.endswith("…") for line in await rows())


async def test_what_begins_a_new_phase_stands_where_the_work_is() -> None:
    app = Shown()
    async with app.run_test(size=(80, 10)) as pilot:
        table = app.query_one(ProgressTable)
        for name in ("identities", *map(str, range(20))):
            table.take(Progress(name, 9, 9, "items", "search"))
        table.flush()
        table.take(Progress("identities", 1, 9, "records", "cleanup"))
        table.flush()
        await pilot.pause()
        assert [line.split()[:3] for line in screen_text(app).split("\n") if "cleanup" in line] == [
            ["identities", "cleanup", "1/9"]
        ]
        assert table.row_count == 21
