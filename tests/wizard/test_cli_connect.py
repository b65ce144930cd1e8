"""From options to a context: the checkout, and what is said when AWS cannot be reached at all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import Aws
from tests.emulators import free_port
from tests.wizard.cli_run import Cli, reach
from wizard.cli import build_parser, main
from wizard.deployment import Deployment
from wizard.session import in_thread


def test_a_closed_port_is_one_sentence_with_what_to_check(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reach(monkeypatch, f"http://127.0.0.1:{free_port()}")
    cli = Cli(Deployment("v6", "dev", "us-east-1"), tmp_path / "workspace", capsys)
    assert cli("preflight") == 3
    assert cli.printed[-1].splitlines()[-1].endswith("Check the network, the region and AWS_ENDPOINT_URL.")


def test_what_is_no_region_is_bad_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    assert main(["deployment", "--dep-name", "v6", "--stage", "dev", "--region", "us east 1"]) == 2
    assert "'us east 1' is no region: give --region" in capsys.readouterr().err


@pytest.mark.parametrize("fault", [RuntimeError("can't start new thread"), MemoryError()], ids=["threads", "memory"])
def test_a_machine_at_its_limits_is_one_sentence(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: Exception
) -> None:
    reach(monkeypatch, aws.endpoint)
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if thread.name.startswith("worker"):
            raise fault
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    cli = Cli(Deployment("v6", "dev", "us-east-1"), tmp_path / "workspace", capsys)
    assert cli("preflight") == 1
    (told,) = cli.printed[-1].strip().splitlines()
    assert "smaller --workers" in told and "Unexpected" not in told


@pytest.mark.parametrize(
    "words", [[], ["--plain"], ["--auto"], ["demo"], ["demo", "--auto"], ["deployment", "--json"]], ids=" ".join
)
def test_a_log_that_cannot_be_written_is_one_sentence_before_anything_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    for file, why in ((tmp_path / "no" / "x.log", "its folder does not exist"), (tmp_path, "Is a directory")):
        assert main([*words, "--log", str(file)]) == 2
        told = f"The log cannot be written to {file}: {why}. Give --log another path."
        printed = capsys.readouterr()
        assert printed.err.strip() == told and (not printed.out or "--json" in words)


def test_a_log_that_others_can_read_is_told_and_a_new_one_is_closed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its mode is the operator's, who may have reasons."""
    file = tmp_path / "my log"
    command = ["sandbox", "--dep-name", "no_such", "--log", str(file)]  # refused before anything is started
    for mode, told in ((None, False), (None, False), (0o640, True), (0o644, True), (0o600, False)):
        if mode:
            file.chmod(mode)
        assert main(command) == 2
        assert (f"chmod 600 '{file}'" in capsys.readouterr().err) == told
        assert file.stat().st_mode & 0o777 == (mode or 0o600)


def test_a_demo_is_not_begun_in_the_folder_of_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "workspace").mkdir()
    assert main(["demo", "--auto", "--workspace", str(tmp_path)]) == 2
    assert "is of another demo, whose AWS is gone" in capsys.readouterr().err


def test_the_checkout_may_stand_before_the_command_or_after_it_or_without_one() -> None:
    root, verify = ["--root", "/new"], ["parameters", "verify"]
    for words in (root, [*root, *verify], [*verify, *root]):
        assert build_parser().parse_args(words).root == Path("/new")
    assert build_parser().parse_args(verify).root is None and build_parser().parse_args([]).root is None


class _Expired(BaseHTTPRequestHandler):
    """An AWS that takes no credentials any more."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        body = (
            b"<ErrorResponse><Error><Code>ExpiredToken</Code><Message>The token is expired</Message></Error>"
            b"<RequestId>x</RequestId></ErrorResponse>"
        )
        self.send_response(403)
        self.send_header("content-type", "text/xml")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def expired() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Expired) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_auto_says_that_the_credentials_expired_and_waits_for_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], expired: str
) -> None:
    reach(monkeypatch, expired)
    cli = Cli(Deployment("v6", "dev", "us-east-1"), tmp_path / "workspace", capsys)
    assert in_thread(lambda: cli("--auto")).result(60) == 3
    assert "expired" in cli.printed[-1] and cli.printed[-1].count("\n") == 1
