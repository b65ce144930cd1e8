"""Who runs the program, as the lock, the log of commands and the report name them."""

import getpass
import os
import socket


def user_at_host() -> str:
    """`user@host`; `uid1000@host` in a container whose user has no name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # the one until Python 3.12, the other since
        user = f"uid{os.getuid()}"
    return f"{user}@{socket.gethostname()}"
