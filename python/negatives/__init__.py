"""How many negative samples, and which? Coverage, collision, bounds and measurements of contrastive learning.

K is the number of negatives, n = K + 1 the number of draws with the anchor: every argument says which of the two it is
(``num_negatives`` or ``num_draws``). Logarithms are natural, losses are in nats.
"""

from . import errors
from ._collector import Bounded, CouponCollector
from ._negatives import __version__
from ._plot import plot_bounds
from ._table import Table
from ._theory import bounds, certify, collision, collision_law, explain, optimum, registry, simulate
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
    "errors",
    "explain",
    "optimum",
    "plot_bounds",
    "registry",
    "simulate",
]
