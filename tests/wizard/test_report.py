"""Rendering a report: foreign text stays text, ids stay out, numbers add up."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from wizard.advice import advice, standing
from wizard.evidence import Evidence, audit, commands, hider
from wizard.report import Bar, lasted, sections, step_of
from wizard.report_html import chart, page
from wizard.report_markdown import markdown

EMPTY = Evidence(
    made=1_767_225_600.0, program={"amplify-migrate": "1"}, operator={"arn": "arn:aws:sts::123456789012:user/x", "user": "x@y"},
    deployment={"account": "123456789012", "region": "us-east-1", "dep": "v6", "stage": "dev", "workspace": "/w"},
    ids_included=False, map={}, plan={}, commands=[], runs=[], states={}, tables=[], retained=0,
    still_to_put_back=[],
    attention={"count": 0, "listed": []}, unknown_references=[], findings=[], backups=[],
    audit={"writes": [], "lines": 0, "damaged": 0, "first": None, "last": None, "sha256": ""},
    files=[], remaining={"tables": [], "buckets": [], "unknown": []},
)  # fmt: skip
PLAN = {
    "id": 1, "created": 1.0, "scope": {}, "users": {"in_map": 1, "with_changes": 1, "without_data": 0, "not_in_map": 0},
    "scanned": {}, "unread": [],
}  # fmt: skip
HOSTILE = "<script>alert(1)</script> & \"'> \x1b[31m \x00 \u202e| `a` [x](http://e) **b** \n# h"


def hostile(evidence: Evidence, text: str) -> Evidence:
    return replace(
        evidence,
        findings=[{"level": "note", "place": text, "text": text, "todo": text}],
        unknown_references=[{"place": text, "path": text, "kind": "id", "count": 2}],
        attention={"count": 1, "listed": [
            {"id": 1, "row": "r", "kind": "item", "action": "copy", "state": "conflict", "place": text, "note": text},
        ]},
        commands=[{"command": text, "time": 1.0, "ended": 2.0, "code": 0, "identity": text, "user": text, "dry_run": False}],
        runs=[{"step": "6c", "started": 1.0, "ended": 2.0, "code": 0, "text": text,
               "kept": [{"place": text, "count": 1, "why": text}],
               "costs": {"requests": {text: 3}, "read_units": 1.0, "write_units": 0.0}}],
        files=[{"name": text, "bytes": 1}],
        backups=[{"place": text, "kind": text, "arn": text}],
        remaining={"tables": [text], "buckets": [text], "unknown": [text]},
    )  # fmt: skip


class Strict(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(max_size=60))
def test_whatever_a_text_holds_it_stays_text(text: str) -> None:
    evidence = hostile(EMPTY, text + HOSTILE)
    whole = page(evidence)
    parsed = Strict()
    parsed.feed(whole)
    assert parsed.tags <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "section", "table", "thead", "tr", "th", "tbody",
        "td", "ul", "li", "code", "figure", "figcaption", "svg", "rect", "text", "span", "i",
    }  # fmt: skip
    assert "<script>alert(1)</script>" in parsed.text
    for shown in (whole, markdown(evidence)):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", shown)
    assert not re.search(r"(?m)^# h", markdown(evidence))
    assert not re.search(r"(?<!\\)<script", markdown(evidence))


def test_commands_in_cells_are_code_and_foreign_backticks_stay() -> None:
    finding = {"level": "attention", "place": "a`x`b", "text": "t", "todo": "Run `backup create`, or `--only tables`."}
    evidence = replace(EMPTY, findings=[finding])
    assert "<td>a`x`b</td>" in page(evidence) and r"| a\`x\`b |" in markdown(evidence)
    assert "Run <code>backup create</code>, or <code>--only tables</code>." in page(evidence)
    assert "| Run `backup create`, or `--only tables`. |" in markdown(evidence)


IDS = st.lists(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 ._'+-]{0,12}[A-Za-z0-9](@example\.edu)?", fullmatch=True), max_size=5
)


PLACES = ("{} stays", "the item {}#notes", "row ({}): gone", "{}", "'{}'", "conversations/{}/c", "id={}, n=1")


@given(IDS, st.sampled_from(PLACES))
def test_no_id_survives(ids: list[str], pattern: str) -> None:
    texts = [pattern.format(one) for one in ids]
    hide = hider(ids, texts)
    for one, text in zip(ids, texts, strict=True):
        assert one in text
        assert not re.search(rf"(?<!\w){re.escape(one)}(?!\w)", re.sub(r"\((id|key)\)", "", hide(text)))


def test_what_is_no_id_stays_readable() -> None:
    text = "12 rows of 4711 stay: another item stands under the new id"
    assert hider(["4711"], [text])(text) == "12 rows of (id) stay: another item stands under the new id"
    assert hider(["471"], [text])(text) == text
    assert hider([], [])("owner ann@example.edu left, key a/b/c") == "owner (id) left, key (key)"


def test_standing_and_advice_follow_the_states() -> None:
    def of(states: dict[str, int], **more: Any) -> tuple[str, str]:
        evidence = replace(EMPTY, plan=PLAN, states=states, **more)
        return standing(evidence), " ".join(advice(evidence))

    assert standing(EMPTY) == "Nothing is planned yet."
    assert "migrate plan" in advice(EMPTY)[0]
    assert of({"planned": 3}) == (
        "It is planned and not applied: 3 changes wait.",
        "Make the planned changes: `migrate apply`.",
    )
    told, next_ = of({"applied": 2, "conflict": 1})
    assert told == "It is applied in part: 2 changes made, 1 not."
    assert "resolve" in next_
    assert "migrate verify" in of({"applied": 2})[1]
    applied, clean = {"step": "6c", "code": 0, "text": ""}, {"step": "6d", "code": 0, "text": "all match"}
    told, next_ = of({"verified": 2}, retained=2, runs=[applied, clean])
    assert told.endswith("the old records still stand.")
    assert "cleanup" in next_
    # What a deletion took has a chapter and comes first; its keys are told with ids only.
    taken = replace(
        EMPTY, plan=PLAN, still_to_put_back=[{"place": "t-accounts", "count": 2, "keys": ["user=x", "user=y"]}]
    )
    assert "migrate apply" in advice(taken)[0]
    for ids, told in ((False, "2"), (True, "user=y")):
        (chapter,) = (one for one in sections(replace(taken, ids_included=ids)) if one.title == "Still to be put back")
        assert chapter.grid is not None and told in map(str, chapter.grid.rows[-1])
    # A verification that failed, or that did not come to its end, is none.
    wrong = {**clean, "code": 1, "text": "1 missing"}
    for runs, words in (([applied, wrong], "rollback"), ([wrong, applied], "migrate verify"), ([], "migrate verify")):
        told, next_ = of({"verified": 2}, retained=2, runs=runs)
        assert "verified;" not in told
        assert words in next_
        assert "cleanup" not in next_
    assert of({"rolled back": 2})[0] == "The migration was rolled back."
    # A rollback makes the verification before it a thing of the past, however it ended; only a new plan can be applied.
    undo = [applied, clean, {"step": "rollback", "code": 1, "text": "2 undone; 1 left"}]
    told, next_ = of({"rolled back": 2, "verified": 1, "planned": 4}, retained=1, runs=undo)
    assert told == "It was applied, and a rollback of it began: 2 changes undone, 1 still made."
    assert next_.startswith("Undo the rest: `rollback`.") and "apply" not in next_ and "cleanup" not in next_
    assert "Undo the rest" not in of({"rolled back": 2}, runs=undo)[1]
    done = {"command": "cleanup verify", "code": 0, "dry_run": False}
    assert "Nothing is left to do" in of({"cleaned": 2}, commands=[done], runs=[clean])[1]
    assert "cleanup verify" in of({"cleaned": 2}, commands=[{**done, "command": "cleanup apply"}], runs=[clean])[1]


def test_every_chapter_is_there_without_anything() -> None:
    titles = [section.title for section in sections(EMPTY)]
    assert len(titles) == len(set(titles)) == 17
    assert all(title in page(EMPTY) and title in markdown(EMPTY) for title in titles)


def test_a_chart_has_room_for_every_bar_and_one_scale() -> None:
    drawn = chart((Bar("a", (("verified", 50), ("failed", 50))), Bar("b", (("verified", 25),)), Bar("c", ())))
    widths = [float(width) for width in re.findall(r'<rect [^>]*width="([0-9.]+)"', drawn)]
    assert widths[0] == widths[1] == widths[2] * 2
    assert "verified: 50" in drawn


def test_commands_and_their_steps() -> None:
    assert step_of("services deploy amplify-lambda") == "4c"
    assert step_of("services deploy amplify-chat") == "5"
    assert step_of("migrate show") == ""
    assert lasted(0, 3_720) == "1 h 02 min"
    assert lasted(0, 59.96) == "60.0 s"
    assert lasted(0, None) == "–"


def test_logs_with_damaged_lines_are_counted(tmp_path: Any) -> None:
    path = tmp_path / "audit.jsonl"
    line = {"time": 5.0, "service": "dynamodb", "operation": "PutItem", "result": "ok", "Key": {"id": {"S": "ann"}}}
    path.write_bytes(json.dumps(line).encode() + b"\n[]\n" + b'\xff{"time": 9}\n{"torn')
    found = audit(path)
    assert (found["lines"], found["damaged"], found["first"]) == (4, 3, 5.0)
    assert found["writes"] == [{"operation": "dynamodb.PutItem", "result": "ok", "count": 1}]
    assert "ann" not in json.dumps(found)
    assert commands(tmp_path / "absent") == []


def test_lines_of_the_command_log_that_we_did_not_write_are_passed_over(tmp_path: Any) -> None:
    path = tmp_path / "commands.jsonl"
    begun = {"run": "a", "time": 5.0, "command": "migrate apply"}
    odd = [
        {**begun, "run": "b", "command": 5}, {**begun, "run": "c", "time": "x"}, {**begun, "run": "d", "time": 1e300},
        {"run": "a", "time": 6, "code": "0"}, {"run": ["a"], "time": 6, "code": 0}, [], None,
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, [begun, *odd])) + '\n{"run": "e", "time": 1e400, "command": "report"}')
    assert commands(path) == [{**begun, "ended": None, "code": None}]
