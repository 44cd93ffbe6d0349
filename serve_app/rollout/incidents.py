"""What is one event, when several servers tell it one after the other."""

import math
from dataclasses import dataclass, field
from typing import Literal

from serve_app.rollout.counts import Arm
from serve_app.statistics.bins import Name

# What is counted by keys: bad answers of a model, incidents of its processes, slow answers, pairs.
Kind = Literal["errors", "processes", "slow", "disagreement"]
KINDS: tuple[Kind, ...] = ("errors", "processes", "slow", "disagreement")
# Keys of each set. Beyond it no key is added, and the rollout is held.
MOST_KEPT_KEYS = 200_000
# A process that stops for five seconds is late for each server at another moment; what waited for
# it is answered slowly all at once.
SAME_LATE_S = 8.0
SAME_SLOW_S = 2.0


@dataclass
class LastIncidents:
    """When the newest incident of each version's processes began, of a kind or in a slice.

    What servers tell within some seconds of its beginning is the same incident. From the beginning
    on: if each bad answer made it last longer, a version that is late all the time would be one
    incident for ever, and look better than one that is late now and then.
    """

    _began_s: dict[tuple[Kind | Name, Arm], float] = field(default_factory=dict)

    def is_new(self, what: Kind | Name, arm: Arm, now_s: float) -> bool:
        """Tell whether what is told now belongs to no incident that is known."""
        same_s = SAME_SLOW_S if what == "slow" else SAME_LATE_S
        return now_s > self._began_s.get((what, arm), -math.inf) + same_s

    def begin(self, what: Kind | Name, arm: Arm, now_s: float) -> None:
        """Note that one has begun."""
        self._began_s[what, arm] = now_s
