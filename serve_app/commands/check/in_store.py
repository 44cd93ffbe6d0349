"""The versions that a plan asks for, compared with the bundles in the store."""

from collections.abc import Iterator
from dataclasses import dataclass

from serve_app.bundle.loading import kind_fault
from serve_app.bundle.manifest import Manifest
from serve_app.bundle.pin import fits_pin, missing_pin
from serve_app.bundle.runtimes.registry import record_of
from serve_app.bundle.stores import open_store, served_uri
from serve_app.bundle.verified import read_manifest
from serve_app.commands.check.document import Fault, Place
from serve_app.commands.check.plan import Plan
from serve_app.contract import ModelSpec, differences
from serve_app.errors import BundleError, SettingsError, StoreAway
from serve_app.models import get_spec
from serve_app.settings import ServerArgs, Table
from serve_app.statistics.bins import without_bins

Pin = tuple[Place, str | None]


@dataclass(frozen=True)
class Use:
    """A version that the file opens: where it says so, and the pins that it must match."""

    place: Place
    model: str
    version: str
    store: str
    pins: tuple[Pin, ...]
    in_server: bool
    public_keys: tuple[str, ...]


def check_bundles(plan: Plan) -> Iterator[Fault]:
    """Every version is in its store, is the pinned one, and fits the contract of its model."""
    for use in (*_isolated(plan), *_in_servers(plan)):
        try:
            spec = get_spec(use.model)
        except SettingsError:
            # The rule of registered models says so.
            continue
        yield from _check(use, spec)


def check_slices(plan: Plan) -> Iterator[Fault]:
    """Every field of `slice_by` has bins in the bundle of stable: without them it has no slices."""
    for app, args, table in plan.servers:
        rollout = table.rollout
        if rollout is None or not rollout.slice_by:
            continue
        manifest = _manifest_of_stable(args, rollout.stable)
        if manifest is None:
            continue
        contract = [feature for feature in manifest.contract if feature.name in rollout.slice_by]
        names = without_bins(manifest.references, contract)
        if names:
            text = (
                f"found {', '.join(names)}, without bins in the bundle of stable "
                f"({rollout.stable}): no slice of it is looked at; expected fields whose bins "
                "training has kept"
            )
            yield Fault((*app.table_place, "rollout", "slice_by"), text, "warning")


def _manifest_of_stable(args: ServerArgs, version: str) -> Manifest | None:
    """Read it; None where that fails, of which `check_bundles` says why."""
    try:
        model = get_spec(args.model).name
        store = open_store(served_uri(args.store))
        manifest, _ = read_manifest(store, model, version, public_keys=args.public_keys)
    except Exception:
        return None
    return manifest


def _isolated(plan: Plan) -> Iterator[Use]:
    """The versions of applications; the tables that place them there may pin them too."""
    for app, args in plan.isolated:
        pins: list[Pin] = [((*app.place, "args", "manifest_sha256"), args.manifest_sha256)]
        for server, server_args, table in plan.servers:
            entry = table.entry(args.version)
            if server_args.model == args.model and entry.placement == "isolated":
                place = (*server.table_place, "versions", args.version, "manifest_sha256")
                pins.append((place, entry.manifest_sha256))
        yield Use(
            place=(*app.place, "args", "version"),
            model=args.model,
            version=args.version,
            store=args.store,
            pins=tuple(pins),
            in_server=False,
            public_keys=args.public_keys,
        )


def _in_servers(plan: Plan) -> Iterator[Use]:
    for app, args, table in plan.servers:
        for version in table.names:
            entry = table.entry(version)
            if entry.placement != "in_server":
                continue
            place = (*app.table_place, *_named(table, version))
            yield Use(
                place=place,
                model=args.model,
                version=version,
                store=args.store,
                pins=(((*place, "manifest_sha256"), entry.manifest_sha256),),
                in_server=True,
                public_keys=args.public_keys,
            )


def _named(table: Table, version: str) -> Place:
    """Where a table names a version: what is wrong with a candidate is not said of stable."""
    if version in table.versions:
        return ("versions", version)
    if table.rollout is None:
        return ("stable",)
    return ("rollout", "stable" if version == table.stable else "candidate")


def _check(use: Use, spec: ModelSpec) -> Iterator[Fault]:
    try:
        store = open_store(served_uri(use.store))
        manifest, digest = read_manifest(store, spec.name, use.version, public_keys=use.public_keys)
    except StoreAway as error:
        # It may be reached from the cluster, and not from here.
        yield Fault(use.place, str(error), "warning")
        return
    except BundleError as error:
        yield Fault(use.place, str(error))
        return
    except Exception as error:
        # A client of object stores has errors of its own.
        yield Fault(use.place, f"{use.store}: cannot be read ({type(error).__name__}: {error})")
        return
    for place, pin in use.pins:
        if not fits_pin(pin, digest):
            yield Fault(place, f"found {pin}, expected the sha256 of its manifest.json: {digest}")
    yield from _check_fit(use, spec, manifest)
    yield from _check_code(use, manifest, digest, store.doubt(spec.name, use.version))


def _check_fit(use: Use, spec: ModelSpec, manifest: Manifest) -> Iterator[Fault]:
    kind = kind_fault(spec, manifest)
    if kind:
        yield Fault(use.place, f"does not fit the contract of {use.model}: {kind}")
        return
    lines = differences(spec.contract, manifest.contract)
    if lines:
        yield Fault(use.place, f"does not fit the contract of {spec.name}: " + "; ".join(lines))


def _check_code(use: Use, manifest: Manifest, digest: str, doubt: str) -> Iterator[Fault]:
    """What running code asks for: libraries, modules, a pin, and an application of its own."""
    record = record_of(manifest.runtime)
    needs_fault = record.needs_fault(manifest)
    if needs_fault:
        text = f"{manifest.model}/{use.version}: {needs_fault} (as seen from here)"
        yield Fault(use.place, text, "warning")
    is_pinned = use.pins[0][1] is not None
    pin_fault = missing_pin(manifest, digest, doubt=doubt, is_pinned=is_pinned)
    if pin_fault:
        yield Fault(use.place, pin_fault)
    if use.in_server and record.runs_code:
        yield Fault(
            use.place,
            "is not compiled: a call takes milliseconds, and its crash is the server's; "
            "expected placement: isolated",
            "warning",
        )
