"""Finding the `serverless` command, and what its output gives as the error."""

from __future__ import annotations

from pathlib import Path

import pytest

from wizard import serverless_command
from wizard.context import Context

COMPOSED = """\
amplify-lambda › Environment: linux, node 20.20.2, osls 4.3.1 (local)
amplify-lambda › Error:
amplify-lambda › CREATE_FAILED: UserData (AWS::ApiGateway::Resource)
amplify-lambda › already there
amplify-lambda › error
amplify-lambda › Error:
amplify-lambda › CREATE_FAILED: UserData (AWS::ApiGateway::Resource)
amplify-lambda › already there
amplify-lambda ›

Verbose logs are available in ".serverless/compose.log"
"""


@pytest.mark.parametrize(
    ("output", "error"),
    [
        (COMPOSED, "CREATE_FAILED: UserData (AWS::ApiGateway::Resource) already there"),
        ("Deploying\n\nError:\nCannot resolve:\n  - at x\n\n1 deprecation found\n", "Cannot resolve: - at x"),
        ("Error: in one line\nLearn more: x\n", "in one line"),
        ("✖ Stand-in says no\n", "Stand-in says no"),
        ("one\ntwo\nInstalling\nInstallation failed.\nSee x\nDocs: y\n", "Installing Installation failed. See x"),
        ("", ""),
    ],
)
def test_the_error_of_an_output(output: str, error: str) -> None:
    assert serverless_command.error_in(output.splitlines()) == error


def test_the_checkouts_own_command_comes_before_that_on_path(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(folder: Path, name: str) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).touch(0o755)
        return str(folder / name)

    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert serverless_command.find(context) is None
    everywhere = install(tmp_path / "bin", "osls")
    assert serverless_command.find(context) == [everywhere]
    context.root = tmp_path / "checkout"
    assert serverless_command.find(context) == [everywhere]
    own = install(tmp_path / "checkout" / "node_modules" / ".bin", "sls")
    found = serverless_command.find(context)
    assert found == [own]
    path = serverless_command.environment(context, found)["PATH"].split(":")
    assert path == [str(Path(own).parent), str(tmp_path / "bin")]
