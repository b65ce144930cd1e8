"""Finding the services of a checkout, and refusing what must not be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wizard.checkout_fixture import section, write_checkout, write_service
from wizard.checkout import Checkout, read_checkout, read_text
from wizard.deployment import Deployment
from wizard.errors import BadInput
from wizard.events import Finding

DEPLOYMENT = Deployment("v6", "dev", "us-east-1")


def read(root: Path) -> Checkout:
    return read_checkout(root, DEPLOYMENT)


def findings(checkout: Checkout) -> list[Finding]:
    """What is said beside the variable that the miniature checkout has twice."""
    return [finding for finding in checkout.findings if not finding.text.startswith("TWICE")]


def blocked(checkout: Checkout) -> dict[str, str]:
    return {finding.place: finding.text for finding in checkout.findings if finding.level == "blocked"}


def test_services_are_the_direct_children_with_a_serverless_yml(tmp_path: Path) -> None:
    write_checkout(tmp_path)
    write_service(tmp_path, "deep/er", section(service="deeper"))
    write_service(tmp_path, ".hidden", section(service="hidden"))
    found = read(tmp_path)
    assert {service.directory.name: (service.name, service.stack) for service in found.services} == {
        "amplify-agent-loop-lambda": ("amplify-v6-agent-loop", "amplify-v6-agent-loop-dev"),
        "amplify-lambda": ("amplify-v6-lambda", "amplify-v6-lambda-dev"),
        "amplify-lambda-admin": ("amplify-v6-admin", "amplify-v6-admin-dev"),
        "amplify-lambda-js": ("amplify-v6-amplify-js", "amplify-v6-amplify-js-dev"),
        "embedding": ("amplify-v6-embedding", "amplify-v6-embedding-dev"),
    }
    assert [(one.level, one.place) for one in found.findings] == [("attention", "amplify-lambda/serverless.yml:27")]
    assert "TWICE stands twice" in found.findings[0].text  # which serverless refuses


def test_the_template_and_basic_ops_are_excluded_with_a_reason(tmp_path: Path) -> None:
    write_checkout(tmp_path)
    write_service(tmp_path, "amplify-lambda-basic-ops", section(service="amplify-v6-lambda-basic-ops"))
    reasons = {service.directory.name: service.excluded for service in read(tmp_path).excluded}
    assert "template" in reasons["amplify-lambda-python-base"]
    assert "removes it" in reasons["amplify-lambda-basic-ops"]


def test_links_that_lead_out_are_refused_and_links_within_are_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    write_checkout(root)
    outside = write_service(tmp_path, "outside", section(service="outside"))
    (root / "linked-directory").symlink_to(outside)
    (root / "linked-file").mkdir()
    (root / "linked-file" / "serverless.yml").symlink_to(outside / "serverless.yml")
    (root / "loop").mkdir()
    (root / "loop" / "serverless.yml").symlink_to("serverless.yml")
    (root / "dangling").mkdir()
    (root / "dangling" / "serverless.yml").symlink_to("nowhere")
    write_service(root / "hidden", "real", section(service="within"))
    (root / "within").symlink_to(root / "hidden" / "real")
    found = read(root)
    assert set(blocked(found)) == {
        f"{name}/serverless.yml" for name in ("linked-directory", "linked-file", "loop", "dangling")
    }
    assert "leads out of the checkout" in blocked(found)["linked-file/serverless.yml"]
    names = {service.name for service in found.services}
    assert "within" in names and "outside" not in names


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"\xff\xfe\x00", "UTF-8"), (b"a: [", "not YAML"), (b"x" * 1_000_001, "larger"), (b"- a", "not a mapping")],
)
def test_unreadable_files_are_named_and_the_others_are_read(tmp_path: Path, content: bytes, says: str) -> None:
    write_checkout(tmp_path)
    (write_service(tmp_path, "bad", "") / "serverless.yml").write_bytes(content)
    found = read(tmp_path)
    assert says in blocked(found)["bad/serverless.yml"]
    assert len(found.services) == 5


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    write_checkout(tmp_path)
    (tmp_path / "folder" / "serverless.yml").mkdir(parents=True)
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "serverless.yml")
    assert set(blocked(read(tmp_path))) == {"folder/serverless.yml", "pipe/serverless.yml"}
    with pytest.raises(BadInput, match="cannot be read: File name too long"):
        read_text(tmp_path, "x" * 300)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    write_checkout(tmp_path)
    (tmp_path / "embedding" / "serverless.yml").chmod(0)
    (tmp_path / "closed").mkdir(mode=0)
    assert {"embedding/serverless.yml", "closed/serverless.yml"} <= set(blocked(read(tmp_path)))


def test_a_mark_of_byte_order_changes_nothing(tmp_path: Path) -> None:
    write_checkout(tmp_path)
    path = tmp_path / "embedding" / "serverless.yml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert findings(read(tmp_path)) == []


def test_another_dep_name_in_the_var_file_blocks(tmp_path: Path) -> None:
    write_checkout(tmp_path, dep="v7")
    assert "v7" in blocked(read(tmp_path))["var/dev-var.yml"]


def test_a_missing_var_file_is_attention(tmp_path: Path) -> None:
    write_checkout(tmp_path)
    (tmp_path / "var" / "dev-var.yml").unlink()
    (finding,) = findings(read(tmp_path))
    assert (finding.level, finding.place) == ("attention", "var/dev-var.yml")


def test_a_list_in_the_var_file_is_said(tmp_path: Path) -> None:
    write_checkout(tmp_path)
    (tmp_path / "var" / "dev-var.yml").write_text("ADMINS: [ann, bob]\nMIN_ACU: 1\n")
    found = read(tmp_path)
    assert found.variables == {"MIN_ACU": "1"}
    assert [finding.text.split()[0] for finding in findings(found)] == ["ADMINS"]


def test_files_that_are_not_searched_are_named(tmp_path: Path) -> None:
    write_checkout(tmp_path)
    more = "custom: {a: '${file(../var/${sls:stage}-var.yml):ADMINS}', b: ['x ${file(./x-${sls:stage}.yml):c}']}\n"
    write_service(tmp_path, "split", f"service: split\n{more}resources:\n  - ${{file(./${{env:X}}.json)}}\n")
    assert [(one.level, one.place, one.text.split()[4]) for one in findings(read(tmp_path))] == [
        ("attention", "split/serverless.yml:2", "./x-dev.yml,"),
        ("attention", "split/serverless.yml:4", "./${env:X}.json,"),
    ]


def test_two_directories_of_one_service_and_one_without_a_name_block(tmp_path: Path) -> None:
    write_checkout(tmp_path)
    write_service(tmp_path, "twin", section(service="amplify-v6-lambda"))
    write_service(tmp_path, "nameless", section(service="${self:custom.none}"))
    assert set(blocked(read(tmp_path))) == {"twin/serverless.yml", "nameless/serverless.yml"}


def test_a_folder_without_services_is_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"serverless\.yml"):
        read(tmp_path)
    with pytest.raises(BadInput, match="cannot be read"):
        read(tmp_path / "nowhere")


@given(
    st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_a_service_or_a_finding(tmp_path: Path, content: bytes) -> None:
    folder = write_service(tmp_path, "odd", "")
    (folder / "serverless.yml").write_bytes(content)
    found = read(tmp_path)
    assert len(found.services) + len(found.excluded) + len(blocked(found)) >= 1


def test_a_directory_name_with_control_characters_is_shown_escaped(tmp_path: Path) -> None:
    write_service(tmp_path, "evil\x1b[31m", "a: [")
    write_service(tmp_path, "good", section())
    assert list(blocked(read(tmp_path))) == ["evil\\x1b[31m/serverless.yml"]
