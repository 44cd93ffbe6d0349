"""One pipeline of the comparison: what it is, what it takes, and what it is fitted on."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchmarks.agree.frames import Texts
from benchmarks.agree.shop import LABELS, TIERS, features_of, typical_customer
from serve_app.contract import Example, Kind, ModelSpec

NUMBERS = ("amount", "balance", "age", "visits", "since")
WHOLE = ("amount", "age", "since")
TEXTS = ("plan", "region")


@dataclass(frozen=True)
class Case:
    """A pipeline that `make` builds unfitted.

    `fields` are those of the contract. `target` names a column of the rows that it learns from
    (`shop.make_customers`), two for several outputs, none for an anomaly score; it decides the
    kind. `texts` is how the frame has its texts, `fit_gaps` whether the rows that it is fitted on
    have gaps. `missing_text` is what a person says at bundling. `library` must be installed.
    """

    name: str
    make: Callable[[], Any]
    fields: tuple[str, ...] = (*NUMBERS, *TEXTS)
    target: str | tuple[str, ...] = "churned"
    texts: Texts = "str"
    fit_gaps: bool = True
    missing_text: str | None = None
    library: str | None = None
    positive: str = "yes"

    @cached_property
    def spec(self) -> ModelSpec:
        """The contract, with the standard answers of its kind."""
        target = self.target if isinstance(self.target, str) else ""
        words: dict[str, Any] = {}
        if target == "answer":
            words = {"classes": LABELS, "positive": self.positive}
        elif target == "tier":
            # In another order than the pipeline's own.
            words = {"classes": TIERS}
        elif target == "grade":
            words = {"classes": (0, 1, 2)}
        elif not isinstance(self.target, str):
            words = {"outputs": self.target}
        features = features_of(self.fields)
        return ModelSpec(
            name="shop",
            title="Customers of a shop",
            kind=self.kind,
            target=target,
            features=features,
            examples=(Example("typical", "A customer", typical_customer(features)),),
            **words,
        )

    @property
    def kind(self) -> Kind:
        """What a score is."""
        kinds: dict[Any, Kind] = {
            "churned": "binary_classifier",
            "answer": "binary_classifier",
            "tier": "classifier",
            "grade": "classifier",
        }
        return kinds.get(self.target, "regressor")

    @property
    def is_installed(self) -> bool:
        """Whether its library is here."""
        return self.library is None or importlib.util.find_spec(self.library) is not None
