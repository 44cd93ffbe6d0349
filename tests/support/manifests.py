"""The manifests in k8s/ as a cluster would get them, for tests that have none."""

import importlib
import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
MINE = "overlays/mine"
SECOND = "overlays/canary-cluster/cluster"
SPLIT = "overlays/canary-cluster/route"
# With a RayService in it.
CLUSTERS = ("base", "overlays/kind", MINE, SECOND)
BUILT = (*CLUSTERS, SPLIT)
SHARED = ROOT.parent / "shared"
CRD = SHARED / "kuberay" / "rayservice-v1.7.0.min.json"
# What of Kubernetes itself is checked by the schema of this version.
KUBERNETES = "1.33"
Document = dict[str, Any]


def built(overlay: str, folder: Path = K8S) -> list[Document]:
    """What `kubectl kustomize` makes of an overlay; it asks no cluster. Skips without kubectl."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here")
    return [
        document
        for document in yaml.load_all(_text(folder / overlay), yaml.CSafeLoader)
        if document
    ]


@cache
def _text(folder: Path) -> str:
    """What kubectl prints, asked once for each folder."""
    command = ["kubectl", "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def of_kind(documents: list[Document], kind: str) -> list[Document]:
    """Those of a kind."""
    return [document for document in documents if document["kind"] == kind]


def names(documents: list[Document]) -> set[tuple[str, str]]:
    """What the cluster knows them by, without the hash of a ConfigMap's name."""
    found = set()
    for document in documents:
        name = document["metadata"]["name"]
        if document["kind"] == "ConfigMap":
            name = name.rpartition("-")[0]
        found.add((document["kind"], name))
    return found


def rayservice(overlay: str = "") -> Document:
    """The RayService of an overlay; without one, the file that can be applied alone."""
    if overlay:
        (found,) = of_kind(built(overlay), "RayService")
        return found
    alone: Document = yaml.safe_load((K8S / "rayservice.yaml").read_text())
    return alone


def groups(service: Document) -> list[Document]:
    """The head's group, then the workers'."""
    cluster = service["spec"]["rayClusterConfig"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def worker_group(service: Document) -> Document:
    """The one group of workers."""
    _, found = groups(service)
    return found


def container(group: Document) -> Document:
    """The container that runs Ray."""
    found: Document = group["template"]["spec"]["containers"][0]
    return found


def variables(group: Document) -> dict[str, str]:
    """What the container's `env` says."""
    return {entry["name"]: entry["value"] for entry in container(group)["env"]}


def labels(service: Document, group: Document) -> dict[str, str]:
    """The labels of the group's pods, as KubeRay 1.7 makes them (`labelPod` in its pod.go).

    The template's own labels come last and win, except for those of type, group and cluster.
    """
    kind = "worker" if "groupName" in group else "head"
    fixed = {
        "ray.io/node-type": kind,
        "ray.io/group": group.get("groupName", "headgroup"),
        "ray.io/cluster": f"{service['metadata']['name']}-abcde",
    }
    own = {"ray.io/is-ray-node": "yes", "app.kubernetes.io/name": "kuberay"}
    own |= {"app.kubernetes.io/created-by": "kuberay-operator"}
    return own | group["template"]["metadata"]["labels"] | fixed


def selects(selector: Document, found: dict[str, str]) -> bool:
    """Whether a selector of `matchLabels` alone takes a pod with these labels."""
    assert set(selector) <= {"matchLabels"}
    return selector.get("matchLabels", {}).items() <= found.items()


def quantity(text: str) -> float:
    """`500m` is 0.5; `2Gi` are 2 × 2^30."""
    units = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    for unit, factor in units.items():
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)


def requested(service: Document) -> tuple[float, float]:
    """CPUs and GiB that its pods ask for as long as nothing is scaled up."""
    cluster = service["spec"]["rayClusterConfig"]
    head, workers = groups(service)
    asked = [cluster["autoscalerOptions"]["resources"]["requests"]]
    asked += [container(head)["resources"]["requests"]]
    asked += [container(workers)["resources"]["requests"]] * workers["replicas"]
    cpus = sum(quantity(each["cpu"]) for each in asked)
    return cpus, sum(quantity(each["memory"]) for each in asked) / 2**30


def validate(document: Document) -> None:
    """By the schema of Kubernetes, with unknown fields refused, as `--validate=strict` does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = importlib.import_module("kubernetes_validate")
    library.validate(document, KUBERNETES, strict=True)


def crd_faults() -> Callable[[Document], list[str]]:
    """A function that finds what an API server would refuse in a RayService.

    Skips where the CRD is not at hand.
    """
    if not CRD.exists():
        pytest.skip("the CRD of KubeRay 1.7 is not next to this folder")
    sys.path.insert(0, str(SHARED / "tools"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check = importlib.import_module("crdcheck").check
    finally:
        sys.path.remove(str(SHARED / "tools"))
    crd = json.loads(CRD.read_text())
    return lambda document: check(crd, document)
