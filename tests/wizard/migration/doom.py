"""A way to AWS on which a process is killed at a write of the test's choice: before AWS has it, or before its answer is back."""

from __future__ import annotations

import http.client
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.conftest import Aws
from wizard.aws import is_read
from wizard.migration.scan import LOCK_KEY

HOP = {"host", "connection", "transfer-encoding", "content-length", "expect", "accept-encoding"}


@dataclass
class Doom:
    """Kills `victim` at its write number `at`, counting from 1; 0 lets it live. The lock's writes do not count.

    `committed`: AWS carries the write out and the answer is withheld, and only writes that succeed count. Otherwise
    the write never arrives.
    """

    at: int = 0
    committed: bool = True
    victim: subprocess.Popen[str] | None = None
    writes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def aim(self, at: int, *, committed: bool = True) -> None:
        self.at, self.committed, self.writes = at, committed, 0

    def strikes(self) -> bool:
        """Count one write; whether it is the fatal one."""
        with self._lock:
            self.writes += 1
            return self.writes == self.at

    def strike(self) -> None:
        assert self.victim is not None
        self.victim.kill()
        self.victim.wait()


@contextmanager
def doomed(aws: Aws) -> Iterator[tuple[Aws, Doom]]:
    """A proxy before `aws`, and the one who decides at which write the process behind it dies."""
    upstream = urlsplit(aws.endpoint)
    doom = Doom()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self._body()
            write = self._is_write() and LOCK_KEY.encode() not in body
            if write and not doom.committed and doom.strikes():
                doom.strike()
                self.close_connection = True
                return
            connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=60)
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP:
                    connection.putheader(name, value)
            connection.putheader("Host", self.headers["Host"])
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            content = response.read()
            if write and doom.committed and response.status < 300 and doom.strikes():
                doom.strike()
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            length = response.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

        def _is_write(self) -> bool:
            if target := self.headers.get("X-Amz-Target"):
                return not is_read(target.rpartition(".")[2])
            return self.command in ("PUT", "DELETE") or (self.command == "POST" and self.path.startswith("/amplify"))

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # whoever asked has been killed

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Aws(f"http://127.0.0.1:{server.server_port}"), doom
    finally:
        server.shutdown()
        server.server_close()
