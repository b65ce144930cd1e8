"""The commands: one module per group; each adds its arguments and calls the engine."""
