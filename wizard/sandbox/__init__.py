"""The embedded AWS. Its credentials stand here, since a run in another terminal is told by them to be in the sandbox."""

CREDENTIALS = ("sandbox", "sandbox-secret")
