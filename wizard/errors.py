"""What can stop a command, and the exit status that says so (README, "Exit status")."""


class MigrateError(Exception):
    """One sentence for a person: what happened, on what, what to do. `exit_code` is the status of the command."""

    exit_code = 1


class Failed(MigrateError):
    """Something failed or was left undone; all else was still done."""


class BadInput(MigrateError):
    """Wrong usage or wrong input; nothing was touched."""

    exit_code = 2


class Blocked(MigrateError):
    """A precondition or a conflict needs the operator."""

    exit_code = 3


class NoCredentials(Blocked):
    """There are no credentials, or none that AWS knows."""


class Declined(MigrateError):
    """The operator said no, or nobody was there to say yes."""

    exit_code = 4


class Interrupted(MigrateError):
    """Stopped between two requests; the same command goes on from there."""

    exit_code = 130


def worst(codes: list[int]) -> int:
    """The status of several results: the first of 130, 3, 1 that occurs, else 0."""
    return next((code for code in (130, 3, 1) if code in codes), 0)
