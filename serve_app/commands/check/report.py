"""All faults of a file in one report, each with its place and line."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from serve_app.commands.check.auth import check_auth
from serve_app.commands.check.capacity import check_cpus
from serve_app.commands.check.document import Document, Fault, read_document
from serve_app.commands.check.labels import check_label_keys
from serve_app.commands.check.plan import Plan, check_whole, read_plan
from serve_app.commands.check.rayservice import check_rayservice, is_rayservice
from serve_app.commands.check.rules import RULES

__all__ = ["Fault", "Report", "check_file"]


@dataclass(frozen=True)
class Report:
    """What a file holds, and what is wrong with it, in the order of its lines."""

    path: Path
    faults: tuple[Fault, ...]
    content: str = ""

    @property
    def n_errors(self) -> int:
        """Faults that must not be deployed."""
        return sum(fault.severity == "error" for fault in self.faults)

    @property
    def summary(self) -> str:
        """One line: what would run, and how many faults there are."""
        n_warnings = len(self.faults) - self.n_errors
        counts = f"{_count(self.n_errors, 'error')}, {_count(n_warnings, 'warning')}"
        return f"{self.path}: " + (f"{self.content}; {counts}" if self.content else counts)

    def line(self, fault: Fault) -> str:
        """Write a fault as editors read it: `file:line: place: text`."""
        kind = "warning: " if fault.severity == "warning" else ""
        where = f"{fault.where}: " if fault.where else ""
        return f"{self.path}:{fault.line}: {kind}{where}{fault.text}"


def check_file(path: Path, *, with_store: bool = True, n_cpus: float | None = None) -> Report:
    """Check a serve_config.yaml, or the manifest of a RayService with one inside.

    `with_store` looks into the bundles too; `n_cpus` is what the cluster has. Raises nothing: a
    file that cannot be read is a fault.
    """
    document, faults = read_document(path)
    if document is None:
        return Report(path, tuple(faults))
    if is_rayservice(document.values):
        plan, more = check_rayservice(document.values)
        return Report(path, _located([*faults, *more], document), _content(plan))
    plan, more = read_plan(document.values)
    faults += more
    if plan is not None:
        faults += [fault for rule in RULES for fault in rule(plan)]
        faults += check_auth(plan)
        faults += check_label_keys(plan)
        if n_cpus is not None:
            faults += check_cpus(plan, n_cpus)
        if with_store:
            faults += _check_bundles(plan)
            faults += _check_logs(plan)
        if not any(fault.severity == "error" for fault in faults):
            faults += check_whole(plan)
    return Report(path, _located(faults, document), _content(plan))


def _check_bundles(plan: Plan) -> Iterable[Fault]:
    """Import late: without a store, neither numpy nor a client of object stores is needed."""
    from serve_app.commands.check.in_store import check_bundles, check_slices

    return (*check_bundles(plan), *check_slices(plan))


def _check_logs(plan: Plan) -> Iterable[Fault]:
    from serve_app.commands.check.in_state import check_logs

    return check_logs(plan)


def _located(faults: Iterable[Fault], document: Document) -> tuple[Fault, ...]:
    found = [
        replace(
            fault,
            line=fault.line or document.line_of(fault.place),
            where=document.name_of(fault.place),
            text=" ".join(fault.text.split()),
        )
        for fault in faults
    ]
    return tuple(sorted(found, key=lambda fault: fault.line or 0))


def _content(plan: Plan | None) -> str:
    if plan is None:
        return ""
    names = (
        ("application", len(plan.applications)),
        ("model", len(plan.models)),
        ("version", len(plan.versions)),
    )
    return ", ".join(_count(n, noun) for noun, n in names) + f", at most {plan.n_cpus:g} CPUs"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")
