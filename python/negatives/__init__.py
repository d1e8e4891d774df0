"""How many negative samples, and which? Coverage, collision, bounds and measurements of contrastive learning.

K is the number of negatives, n = K + 1 the number of draws with the anchor: every argument says which of the two it is
(``num_negatives`` or ``num_draws``). Logarithms are natural, losses are in nats.
"""

from . import contrastive, errors
from ._measure import Difficulty, difficulty, measure, report
from ._negatives import __version__
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
    "DataError",
    "Difficulty",
    "FileError",
    "InternalError",
    "NegativesError",
    "NotFiniteError",
    "__version__",
    "contrastive",
    "dcl",
    "dclw",
    "debiased",
    "difficulty",
    "eq_co",
    "errors",
    "flat_nce",
    "hard",
    "info_nce",
    "measure",
    "nscl",
    "nt_xent",
    "report",
    "spectral",
]
