__version__: str

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
