"""While a simulation runs, the clocks, random names and Ray's calls that serve_app knows are ours.

Whatever module of serve_app holds a reference to one of them, as a name, as a default argument or
through the module it comes from, gets the stand-in; afterwards all is as it was.
"""

import inspect
import os
import random
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any

from ray import serve

from benchmarks.simulator.loop import PROCESS, VirtualLoop

START_S = 1_800_000_000.0
# Not zero: code that takes 0.0 for "long ago" must not be helped by it.
MONOTONIC_START_S = 5_000.0

Replaced = tuple[Any, str, Any]


def of_time(loop: VirtualLoop, rng: random.Random) -> dict[Any, Any]:
    """Stand-ins for clocks and random names, by what they stand for."""

    def monotonic() -> float:
        return MONOTONIC_START_S + loop.time()

    def wall() -> float:
        process = PROCESS.get()
        offset_s = process.wall_offset_s if process is not None else 0.0
        return START_S + loop.time() + offset_s

    def token_hex(n_bytes: int = 16) -> str:
        return f"{rng.getrandbits(8 * n_bytes):0{2 * n_bytes}x}"

    return {
        time.monotonic: monotonic,
        time.perf_counter: monotonic,
        time.time: wall,
        time.sleep: loop.spend,
        secrets.token_hex: token_hex,
    }


@contextmanager
def in_place(stand_ins: Mapping[Any, Any]) -> Iterator[None]:
    """Put stand-ins where serve_app finds them, until the end of the block."""
    replaced: list[Replaced] = []
    by_id = {id(real): stand_in for real, stand_in in stand_ins.items()}
    modules = [os, time, secrets, serve, *_of_serve_app()]
    try:
        for module in modules:
            replaced += _replaced_in(module, by_id)
        for module in _of_serve_app():
            for function in _functions(module):
                replaced += _replaced_defaults(function, by_id)
        yield
    finally:
        for owner, name, real in reversed(replaced):
            setattr(owner, name, real)


def _of_serve_app() -> list[ModuleType]:
    return [module for name, module in sys.modules.items() if name.split(".")[0] == "serve_app"]


def _replaced_in(module: ModuleType, by_id: Mapping[int, Any]) -> Iterator[Replaced]:
    for name, value in list(vars(module).items()):
        if id(value) in by_id:
            setattr(module, name, by_id[id(value)])
            yield module, name, value


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """The functions of a module, and the methods of its classes."""
    for value in list(vars(module).values()):
        if isinstance(value, FunctionType):
            yield value
        if inspect.isclass(value) and value.__module__ == module.__name__:
            yield from (method for method in vars(value).values() if inspect.isfunction(method))


def _replaced_defaults(function: FunctionType, by_id: Mapping[int, Any]) -> Iterator[Replaced]:
    defaults = function.__defaults__
    if defaults and any(id(value) in by_id for value in defaults):
        function.__defaults__ = tuple(by_id.get(id(value), value) for value in defaults)
        yield function, "__defaults__", defaults
    keywords = function.__kwdefaults__
    if keywords and any(id(value) in by_id for value in keywords.values()):
        found: dict[str, Any] = {
            name: by_id.get(id(value), value) for name, value in keywords.items()
        }
        function.__kwdefaults__ = found
        yield function, "__kwdefaults__", keywords
