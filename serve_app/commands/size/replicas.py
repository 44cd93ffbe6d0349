"""How many replicas carry a wanted rate: arithmetic on measured cost, and nothing else.

A replica is one event loop on one CPU. Each request takes `own_ms` of it (m). Where a model is
expensive, a model call takes `call_ms` more and first waits `wait_ms` to fill, together F, however
many requests share it. At most `most_per_call` do, so that this share of F counts as each request's
own. Requests come at random, `rate` a second to a replica:

    busy ρ        = rate · m
    mean response = (1.5 F + m) / (1 − ρ)
    its p95       = (2 F + ln 20 · m) / (1 − ρ)

Without F this is the M/M/1 queue, whose response time is exponential (Shortle, Thompson, Gross and
Harris, Fundamentals of Queueing Theory, 2018, ch. 3): twice the truth where all requests cost the
same. With F a request waits for the call under way and then for its own, hence two whole cycles.
The mean follows the upper bound of Inoue (Queueing analysis of GPU-based inference servers with
dynamic batching, Performance Evaluation 147, 2021).
"""

from dataclasses import dataclass
from math import ceil, isfinite, log

from serve_app.errors import SettingsError
from serve_app.scaling import PLANNED_BUSY

# So many may be lost, and the rest still keeps to the objective.
SPARE_REPLICAS = 1
# When there is no load: with one replica alone, losing it is an outage.
LEAST_REPLICAS = 2
# An exponential time is longer than 3.0 times its mean in one case of 20.
TAIL = log(20)


@dataclass(frozen=True)
class Overhead:
    """What serving costs beyond the application, as a cluster measures it (docs/performance.md).

    Three are CPU milliseconds a request: `replica_ms` of uvicorn around the application,
    `batch_ms` of Ray and @serve.batch in the replica where requests share model calls, and
    `proxy_ms` of HAProxy and its manager next to the replicas. `ray_cpus` is what controller,
    raylet and dashboard take, requests or none; `ray_memory_mb` is for these and the proxy, on one
    node.
    """

    replica_ms: float
    proxy_ms: float
    batch_ms: float
    ray_cpus: float
    ray_memory_mb: float


# The fast mode. The one place to change when a full benchmark has run.
FAST_MODE = Overhead(replica_ms=0.1, proxy_ms=0.1, batch_ms=0.3, ray_cpus=0.2, ray_memory_mb=930.0)


@dataclass(frozen=True)
class Work:
    """What requests ask of a replica: CPU milliseconds, but for `wait_ms`, which is idle.

    `most_per_call`: how many requests may share a model call.
    """

    own_ms: float
    call_ms: float = 0.0
    wait_ms: float = 0.0
    most_per_call: int = 1


@dataclass(frozen=True)
class Load:
    """One replica at a rate: CPUs in use, response times, and requests under way (Little's law)."""

    cpus: float
    mean_ms: float
    p95_ms: float
    under_way: float


@dataclass(frozen=True)
class Size:
    """The answer: what to write into serve_config.yaml, and what a replica's load is then."""

    min_replicas: int
    max_replicas: int
    num_cpus: float
    target_ongoing_requests: float
    at_peak: Load
    with_one_lost: Load


def check_wanted(rate: float, p95_ms: float) -> None:
    """Refuse what can be refused before anything is measured. Raises SettingsError."""
    for name, value in (("rate", rate), ("p95-ms", p95_ms)):
        if not (isfinite(value) and value > 0):
            raise SettingsError(f"--{name}: found {value:g}, expected a number above 0")


def size(work: Work, rate: float, p95_ms: float) -> Size:
    """Find the fewest replicas of which one may be lost at a peak of `rate` requests a second.

    Raises SettingsError when no number of replicas can keep to the objective.
    """
    check_wanted(rate, p95_ms)
    n_carry = max(1, ceil(rate / most_rate(work, p95_ms) - 1e-9))
    n_replicas = n_carry + SPARE_REPLICAS
    at_peak = load(work, rate / n_replicas)
    with_one_lost = load(work, rate / n_carry)
    return Size(
        min_replicas=min(LEAST_REPLICAS, n_replicas),
        max_replicas=n_replicas,
        num_cpus=min(1.0, ceil(with_one_lost.cpus / PLANNED_BUSY * 10 - 1e-9) / 10),
        # What Ray's autoscaler counts on each replica at the peak, so that it aims at just these.
        target_ongoing_requests=max(0.1, float(f"{at_peak.under_way:.2g}")),
        at_peak=at_peak,
        with_one_lost=with_one_lost,
    )


def load(work: Work, rate: float) -> Load:
    """Describe a replica that gets `rate` requests a second, which is less than it can carry."""
    own_ms, shared_ms = _shares_ms(work)
    idle = 1 - rate * own_ms / 1000
    mean_ms = (1.5 * shared_ms + own_ms) / idle
    return Load(
        cpus=_cpus(work, rate),
        mean_ms=mean_ms,
        p95_ms=(2 * shared_ms + TAIL * own_ms) / idle,
        under_way=rate * mean_ms / 1000,
    )


def most_rate(work: Work, p95_ms: float) -> float:
    """Requests a second that one replica may get.

    It answers in time, and is busy for at most PLANNED_BUSY when its calls are full. Raises
    SettingsError when even a request alone takes too long.
    """
    quickest_ms = load(work, 0).p95_ms
    if quickest_ms >= p95_ms:
        raise SettingsError(_too_slow(work, p95_ms, quickest_ms))
    own_ms, _ = _shares_ms(work)
    return min(PLANNED_BUSY, 1 - quickest_ms / p95_ms) / own_ms * 1000


def _shares_ms(work: Work) -> tuple[float, float]:
    """m and F: each request's own, with its least share of a call, and what is left of a call."""
    call_ms = work.call_ms + work.wait_ms
    share_ms = call_ms / work.most_per_call
    return work.own_ms + share_ms, call_ms - share_ms


def _cpus(work: Work, rate: float) -> float:
    """CPUs in use: each request's own, and calls.

    Calls follow one another where something always waits.
    """
    call_ms = work.call_ms + work.wait_ms
    own_cpus = rate * work.own_ms / 1000
    calls = min(rate, (1 - own_cpus) * 1000 / call_ms) if call_ms else 0.0
    return own_cpus + calls * work.call_ms / 1000


def _too_slow(work: Work, p95_ms: float, quickest_ms: float) -> str:
    found = (
        f"--p95-ms: found {p95_ms:g}, expected more than {quickest_ms:.3g}, "
        "however many replicas there are"
    )
    if work.call_ms + work.wait_ms:
        return (
            f"{found}: a model call takes {work.call_ms:.3g} ms after {work.wait_ms:g} ms in which "
            "it may fill, and a request that comes during a call waits for that one and then for "
            "its own"
        )
    return (
        f"{found}: a request alone takes {work.own_ms:.3g} ms of CPU, and one in twenty is "
        "assumed to take 3 times that"
    )
