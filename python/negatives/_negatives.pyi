from collections.abc import Sequence
from os import PathLike
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__version__: str

_Floats = NDArray[np.float64]
_Features = NDArray[np.float64] | NDArray[np.float32]
_Parts = tuple[list[str], list[list[Any]], list[tuple[list[str], list[list[str]]]]]

@final
class Classes:
    def __new__(
        cls, num_classes: int | None, counts: list[int] | None, probs: list[float] | None, replace: bool
    ) -> Classes: ...
    @property
    def num_classes(self) -> int: ...
    @property
    def num_items(self) -> int | None: ...
    @property
    def smallest_count(self) -> int | None: ...

@final
class Losses:
    @staticmethod
    def of_path(path: str | PathLike[str]) -> Losses: ...
    @staticmethod
    def of_text(text: str, name: str) -> Losses: ...
    @property
    def num_classes(self) -> int | None: ...
    def __len__(self) -> int: ...

def law_at(classes: Classes, name: str, n: int) -> tuple[float, float]: ...
def law_at_all(classes: Classes, name: str, draws: NDArray[np.int64]) -> tuple[_Floats, _Floats]: ...
def collector_time(classes: Classes) -> tuple[float, float]: ...
def quantiles(classes: Classes, levels: _Floats, upper: bool) -> NDArray[np.int64]: ...
def sample(classes: Classes, uniforms: _Floats) -> NDArray[np.int64]: ...
def exact_coverage(classes: Classes, n: int, at_any_cost: bool, threads: int | None) -> tuple[int, int]: ...
def time_of_coverage(classes: Classes, n: int, repeats: int) -> float: ...
def collision_columns(classes: Classes, negatives: list[int]) -> list[_Floats]: ...
def collision_law(classes: Classes, negatives: int) -> list[_Floats]: ...
def simulation(
    classes: Classes,
    draws: list[int],
    samples: int,
    seed: int,
    rare: bool,
    collisions: bool,
    level: float,
    threads: int | None,
) -> _Parts: ...
def optimum(
    classes: Classes,
    negatives: list[int],
    temperature: float,
    tolerance: float | None,
    threads: int | None,
) -> tuple[_Parts, bool]: ...
def bounds_table(losses: Losses, confidence: float | None, threads: int | None) -> tuple[_Parts, list[str]]: ...
def certify_table(losses: Losses, confidence: float | None, threads: int | None) -> tuple[_Parts, list[str]]: ...
def explain_table(
    losses: Losses, keys: list[str] | None, draws: list[int] | None, threads: int | None
) -> tuple[_Parts, list[str]]: ...
def registry_table() -> _Parts: ...
def _wait(seconds: float, deaf: bool) -> None: ...
def _panic(kind: str) -> None: ...

def contrastive_loss(
    name: str,
    parameters: Sequence[float],
    views: tuple[_Features, _Features],
    negatives: tuple[str, NDArray[np.int64] | None, _Features | None],
    classes: NDArray[np.int64] | None,
    temperature: float,
    normalise: bool,
    gradient: bool,
    threads: int | None,
) -> tuple[float, tuple[NDArray[np.float64], NDArray[np.float64]] | None]: ...
def measure_features(
    name: str,
    views: tuple[_Features, _Features],
    labels: NDArray[np.int64],
    train: tuple[_Features, NDArray[np.int64]] | None,
    mean: _Features | None,
    draws: Sequence[int],
    temperatures: Sequence[float],
    passes: int | None,
    seed: int,
    linear: tuple[str, bool],
    knn: tuple[int, float],
    all_pairs: bool,
    threads: int | None,
) -> str: ...
def difficulty_of(
    views: tuple[_Features, _Features],
    labels: NDArray[np.int64],
    queries: int | None,
    bank: int | None,
    bins: Sequence[str] | None,
    hierarchy: str | PathLike[str] | None,
    seed: int,
    threads: int | None,
) -> dict[str, Any]: ...
def write_report(losses: Losses, out: str | PathLike[str], title: str, bounds: Sequence[str] | None) -> None: ...
def column_kinds() -> list[tuple[str, str]]: ...
def column_names() -> list[str]: ...
