"""Objects of mapped users that no row points to: told by the first plan, and never those that were moved."""

from __future__ import annotations

from typing import Any

from tests.wizard.migration.stage import ANN, BOB, Stage, n, s

BUCKETS = ("agent-loop/scheduled-tasks-logs", "artifacts/bucket", "agent-loop/workflow-templates")


def test_objects_that_no_row_points_to_are_counted_and_left(stage: Stage) -> None:
    stage.create("lambda/user-data-storage")
    stage.bucket("lambda/consolidation")
    s3 = stage.aws.client("s3")
    logs, artifacts, flows = (stage.bucket(name) for name in BUCKETS)

    def store(bucket: str, *keys: str, body: bytes = b'{"a": 1}') -> None:
        for key in keys:
            s3.put_object(Bucket=bucket, Key=key, Body=body)

    store(logs, f"{ANN}/t/logs/e1.json", f"{ANN}/gone/logs/e9.json")
    store(artifacts, f"{ANN}/20250102/Notes:v1", f"{ANN}/20250102/Notes:v2", f"{BOB}/20250102/Sent:v1")
    store(artifacts, f"{ANN}/20250305/Big:v1", body=b'"' + b"x" * 500_000 + b'"')
    store(flows, f"{ANN}/t.json", f"{ANN}/lost.json", f"{BOB}/lost.json", "other@example.edu/x.json")
    log = {"M": {"executionId": s("e1"), "detailsKey": s(f"{ANN}/t/logs/e1.json")}}
    stage.put("agent-loop/scheduled-tasks", {"user": s(ANN), "taskId": s("t"), "active": n(1), "logs": {"L": [log]}})
    listed = [{"M": {"key": s(f"{ANN}/20250102/Notes:v1")}}, {"M": {"key": s(f"{ANN}/20250305/Big:v1")}}]
    stage.put("artifacts/user-artifacts", {"user_id": s(ANN), "artifacts": {"L": listed}})
    shared = [{"M": {"key": s(f"{BOB}/20250102/Sent:v1"), "sharedBy": s(ANN)}}]
    stage.put("artifacts/user-artifacts", {"user_id": s(BOB), "artifacts": {"L": shared}})
    flow = {"user": s(ANN), "templateId": s("t"), "s3Key": s(f"{ANN}/t.json"), "isPublic": n(0)}
    stage.put("agent-loop/workflow-registry", flow)

    expected = {
        logs: f"1 object of users of the map stay: no row points there (scheduled-tasks.logs[].detailsKey), for example"
        f" {ANN}/gone/logs/e9.json",
        artifacts: f"1 object of users of the map stay: no row points there (user-artifacts.artifacts[].key), for example"
        f" {ANN}/20250102/Notes:v2",
        flows: f"2 objects of users of the map stay: no row points there (workflow-registry.s3Key), for example"
        f" {min(ANN, BOB)}/lost.json",
    }
    assert told(stage.plan()) == expected
    stage.apply()
    stage.verify()
    stage.cleanup()
    # What was moved has lost its last pointer, and is not taken for one that never had any: here and on another machine.
    assert told(stage.plan()) == expected
    assert told(stage.plan(workspace="another")) == expected


def told(plan: Any) -> dict[str, str]:
    return {one["place"]: one["text"] for one in plan["findings"] if "no row points there" in one["text"]}
