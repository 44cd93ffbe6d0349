"""`sluice check` and labels: the servers of a model must share what seals prediction ids."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from checking import ROOT, SHIPPED, changed, check_file, report_on

IN_A_STORE, LINE = changed(SHIPPED, "    state: rollout_state", "    state: s3://rollouts")


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have set them."""
    for name in ("STATE_PATH", "LABEL_KEYS", "LABEL_KEYS_PATH"):
        monkeypatch.delenv(name, raising=False)


def warnings_of(folder: Path, text: str) -> list[str]:
    """What is said of a file with this text, which has no errors."""
    report = report_on(folder, text, with_store=False)
    assert report.n_errors == 0, report.faults
    return [report.line(fault) for fault in report.faults]


def test_a_state_in_an_object_store_without_a_secret_is_a_warning(tmp_path: Path) -> None:
    """Nobody would notice before the first label that another server is asked to take."""
    [line] = warnings_of(tmp_path, IN_A_STORE)
    assert "warning: applications[churn].args.label_keys: missing, and state is s3://roll" in line
    assert "expected it, LABEL_KEYS_PATH or LABEL_KEYS" in line


def test_a_place_that_the_environment_gives_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the servers: the state of both models, then the secret of both."""
    monkeypatch.setenv("STATE_PATH", "s3://rollouts")
    assert len(warnings_of(tmp_path, SHIPPED)) == 2
    for name in ("LABEL_KEYS", "LABEL_KEYS_PATH"):
        with monkeypatch.context() as named:
            named.setenv(name, "something")
            assert warnings_of(tmp_path, SHIPPED) == []


def test_a_folder_or_a_secret_of_the_file_is_enough(tmp_path: Path) -> None:
    """The first server makes one in a folder; one that is named is there already."""
    assert warnings_of(tmp_path, SHIPPED) == []
    named = IN_A_STORE.replace(
        "    state: s3://rollouts", "    label_keys: /keys/labels\n    state: s3://rollouts"
    )
    assert warnings_of(tmp_path, named) == []


@pytest.mark.parametrize(
    ("sources", "variables", "n_warnings"),
    [
        ([{"secretRef": {"name": "sluice-labels", "optional": True}}], [], 0),
        ([{"secretRef": {"name": "sluice-store"}}], [], 1),
        ([], [], 1),
        ([], [{"name": "LABEL_KEYS_PATH", "value": "/etc/labels/label_keys"}], 0),
    ],
)
def test_pods_share_no_folder_so_their_environment_has_the_secret(
    tmp_path: Path, sources: list[Any], variables: list[Any], n_warnings: int
) -> None:
    """Of the workers: no server is on the head."""
    values = yaml.safe_load((ROOT / "k8s" / "rayservice.yaml").read_text())
    cluster = values["spec"]["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], cluster["workerGroupSpecs"][0]):
        container = group["template"]["spec"]["containers"][0]
        container["envFrom"] = sources
        container["env"] = [*container["env"], *variables]
    path = tmp_path / "rayservice.yaml"
    path.write_text(yaml.safe_dump(values))
    report = check_file(path)
    found = [report.line(fault) for fault in report.faults]
    assert len(found) == n_warnings, found
    assert all("expected the Secret sluice-labels here" in line for line in found)
