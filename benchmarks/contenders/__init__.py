"""The contenders, in the order of the report."""

from benchmarks.contender import Contender
from benchmarks.contenders.fastapi import COMPILED, TUTORIAL
from benchmarks.contenders.peers import PEERS
from benchmarks.contenders.ray_serve import DOCUMENTED
from benchmarks.contenders.sluice import FAST, ISOLATED, PLAIN

OWN: tuple[Contender, ...] = (FAST, PLAIN, ISOLATED, DOCUMENTED, TUTORIAL, COMPILED)
CONTENDERS: tuple[Contender, ...] = (*OWN, *PEERS)
