"""How many negative samples, and which? Coverage, collision, bounds and measurements of contrastive learning.

K is the number of negatives, n = K + 1 the number of draws with the anchor: every argument says which of the two it is
(``num_negatives`` or ``num_draws``). Logarithms are natural, losses are in nats.
"""

from . import errors
from ._negatives import __version__
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
    "FileError",
    "InternalError",
    "NegativesError",
    "NotFiniteError",
    "__version__",
    "errors",
]
