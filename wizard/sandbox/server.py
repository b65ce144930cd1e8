"""The embedded AWS: a moto server on loopback, in this process."""

from __future__ import annotations

import contextlib
import logging
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wizard.aws import Account
from wizard.errors import BadInput
from wizard.sandbox import CREDENTIALS
from wizard.sandbox.fidelity import teach

REGION = "us-east-1"
ACCOUNT_ID = "123456789012"
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Server:
    """A running embedded AWS."""

    endpoint: str
    region: str
    _moto: Any

    def account(self, **options: Any) -> Account:
        """The way to it, with credentials and an endpoint of its own whatever the environment says."""
        return Account(region=self.region, endpoint_url=self.endpoint, credentials=CREDENTIALS, **options)

    def environment(self) -> dict[str, str]:
        """What another program needs to reach it and nothing else: no profile, no configuration of the operator."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": CREDENTIALS[0],
            "AWS_SECRET_ACCESS_KEY": CREDENTIALS[1],
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def reset(self) -> None:
        """Forget everything in it."""
        request = urllib.request.Request(f"{self.endpoint}/moto-api/reset", method="POST")  # noqa: S310 - loopback
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
            answer.read()

    def stop(self) -> None:
        self._moto.stop()


def start(port: int = 0, region: str = REGION) -> Server:
    """Start it on `port` of the loopback interface (0: a free one) with nothing in it; `region` is the one that is used.

    The process is the sandbox's from then on: it forgets the operator's profile. Raises BadInput when moto is not
    installed or the port is taken.
    """
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        os.environ.pop(name, None)  # moto opens sessions in this process, which must not look for a profile
    try:
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        raise BadInput(
            "The sandbox needs moto's server: install it with `pip install 'amplify-migrate[sandbox]'`."
        ) from error
    _check_free(port)
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)  # one line per request would cover the screen
    teach()
    moto = ThreadedMotoServer(ip_address=_LOOPBACK, port=port, verbose=False)
    moto.start()
    host, bound = moto.get_host_and_port()
    server = Server(f"http://{host}:{bound}", region, moto)
    server.reset()  # moto's state belongs to the process, not to the server
    return server


@contextlib.contextmanager
def running(port: int = 0) -> Iterator[Server]:
    """`start` and `stop`."""
    server = start(port)
    try:
        yield server
    finally:
        server.stop()


def _check_free(port: int) -> None:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, port))
        except OSError as error:
            raise BadInput(
                f"Port {port} of {_LOOPBACK} cannot be used ({error.strerror}); give another --port."
            ) from error
