"""Long foreign text keeps its shape in few columns."""

from __future__ import annotations

from screens.shown import CODES, excerpt
from screens.widgets.prose import Prose, hanging


def shown(words: str, width: int, code: int | None = None) -> list[str]:
    return [row.plain for row in Prose(words, None if code is None else CODES[code]).rows(width)]


def test_entries_of_a_list_hang_under_their_text() -> None:
    assert shown("+ create  /amplify/dev/shared/DEP_NAME  v6", 30) == [
        "+ create",
        "  /amplify/dev/shared/DEP_NAME",
        "  v6",
    ]


def test_indented_lines_stay_indented() -> None:
    assert shown("    serverless amplify-admin:deploy --stage dev", 30) == [
        "    serverless",
        "      amplify-admin:deploy",
        "      --stage dev",
    ]


def test_a_paragraph_is_wrapped_flush() -> None:
    assert shown("one two three", 12) == ["one two", "three"]


def test_one_line_follows_its_sign_and_several_stand_below_it() -> None:
    assert shown("14 deployed.", 40, 0) == ["✓ done: 14 deployed."]
    assert shown("14 deployed.\nNone failed.", 40, 1) == ["× not all was done", "14 deployed.", "None failed."]


def test_nothing_foreign_is_markup_and_wide_characters_count_twice() -> None:
    assert shown("[/red] [bold]x[/bold] \x1b[31m", 60) == ["[/red] [bold]x[/bold] \\x1b[31m"]
    assert [row.cell_length for row in hanging("日" * 20, 20)] == [20, 20]


def test_a_long_text_is_cut_to_its_sum_and_its_ends() -> None:
    rows = [f"+ create {number}" for number in range(1, 21)]
    told = "\n".join([*rows, "", "Dry run: 20 create. Nothing was written."])
    assert excerpt(told, "o shows all").split("\n") == [
        "Dry run: 20 create. Nothing was written.",
        *rows[:2],
        "… 14 lines more: o shows all",
        *rows[-4:],
    ]
    assert excerpt("\n".join(rows), "").split("\n")[:3] == [*rows[:2], "… 14 lines more: "]  # without a sum
    assert excerpt("one\ntwo.", "") == "one\ntwo."
