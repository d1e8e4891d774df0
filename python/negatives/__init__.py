"""How many negative samples, and which? Coverage, collision, bounds and measurements of contrastive learning.

K is the number of negatives, n = K + 1 the number of draws with the anchor: every argument says which of the two it is
(``negatives`` or ``num_negatives``; ``draws`` or ``num_draws``). Logarithms are natural, losses are in nats.
"""

from . import contrastive, errors
from ._collector import Bounded, CouponCollector
from ._measure import Difficulty, difficulty, measure, report
from ._negatives import __version__
from ._plot import plot_bounds
from ._table import Table
from ._theory import bounds, certify, collision, collision_law, explain, optimum, registry, simulate
from .contrastive import dcl, dclw, debiased, eq_co, flat_nce, hard, info_nce, nscl, nt_xent, spectral
from .errors import (
    ArgumentError,
    DataError,
    FileError,
    InternalError,
    NegativesError,
    NotFiniteError,
)

__all__ = [
    "ArgumentError",
    "Bounded",
    "CouponCollector",
    "DataError",
    "Difficulty",
    "FileError",
    "InternalError",
    "NegativesError",
    "NotFiniteError",
    "Table",
    "__version__",
    "bounds",
    "certify",
    "collision",
    "collision_law",
    "contrastive",
    "dcl",
    "dclw",
    "debiased",
    "difficulty",
    "eq_co",
    "errors",
    "explain",
    "flat_nce",
    "hard",
    "info_nce",
    "measure",
    "nscl",
    "nt_xent",
    "optimum",
    "plot_bounds",
    "registry",
    "report",
    "simulate",
    "spectral",
]
