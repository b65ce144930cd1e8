"""What a deployment holds and where user ids live in it. Data, not code: one row per table and per bucket."""
