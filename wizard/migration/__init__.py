"""The main job: plan, apply, verify, cleanup and rollback on one ledger."""
