"""The list of runtimes. A new one is a module of this folder, and a record here."""

from typing import TYPE_CHECKING

from serve_app.bundle.runtimes.needs import ADVICE
from serve_app.bundle.runtimes.onnx_file import onnx_fault
from serve_app.bundle.runtimes.record import Runtime, RuntimeRecord
from serve_app.errors import BundleError

if TYPE_CHECKING:
    # The manifest knows the list of runtimes.
    from serve_app.bundle.manifest import Manifest


def _open_onnx(data: bytes, manifest: "Manifest") -> Runtime:
    fault = onnx_fault(data)
    if fault:
        raise BundleError(f"{manifest.model}/{manifest.version}/{ONNX.file}: {fault}")
    # Imported late: tools that read manifests need no onnxruntime.
    from serve_app.bundle.runtimes.onnx_runtime import OnnxRuntime

    return OnnxRuntime(data, manifest.call)


def _open_sklearn(data: bytes, manifest: "Manifest") -> Runtime:
    # Imported late: a replica of compiled versions never imports scikit-learn and pandas.
    from serve_app.bundle.runtimes.sklearn_runtime import SklearnRuntime

    return SklearnRuntime.load(data, manifest.contract, manifest.call)


ONNX = RuntimeRecord("onnx", "model.onnx", runs_code=False, open=_open_onnx)
SKLEARN = RuntimeRecord(
    "sklearn",
    "pipeline.joblib",
    runs_code=True,
    open=_open_sklearn,
    libraries={"scikit-learn": ADVICE["scikit-learn"]},
)

# By name. Nothing else knows the list: a test adds a toy by `monkeypatch.setitem(RUNTIMES, …)`.
RUNTIMES: dict[str, RuntimeRecord] = {record.name: record for record in (ONNX, SKLEARN)}


def runtime_fault(name: str) -> str | None:
    """Why there is no runtime of this name; None when there is one."""
    if name in RUNTIMES:
        return None
    return f"found {name!r}, expected one of {', '.join(RUNTIMES)}"


def record_of(name: str) -> RuntimeRecord:
    """The record of a runtime. Raises BundleError for a name that is not listed."""
    fault = runtime_fault(name)
    if fault:
        raise BundleError(f"runtime: {fault}")
    return RUNTIMES[name]
