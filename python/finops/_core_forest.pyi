"""Types of the trees in ``finops._core``: bins, training, models. Names are those of C++."""

from collections.abc import Sequence
from enum import Enum
from typing import final

class Loss(Enum):
    Squared = 0
    Quantile = 1

@final
class TrainOptions:
    """How to train one output; see ``train_forest.hpp`` for ranges and meanings."""

    loss: Loss
    quantile: float
    tree_count: int
    depth: int
    learning_rate: float
    leaf_shrinkage: float
    row_sample_ratio: float
    feature_sample_ratio: float
    monotone: Sequence[int]
    seed: int
    def __init__(self) -> None: ...

@final
class BinnedFeatures:
    """Features as bins, made once by ``bin_features`` and used for every output."""

    @property
    def row_count(self) -> int: ...
    @property
    def borders(self) -> list[list[float]]: ...

@final
class Forest:
    """One trained output."""

    @property
    def name(self) -> str: ...
    @property
    def base(self) -> float: ...
    @property
    def leaf_scale(self) -> float: ...
    @property
    def tree_count(self) -> int: ...

@final
class ForestModel:
    """Several outputs over the same features."""

    def __init__(
        self, *, feature_names: Sequence[str], features: BinnedFeatures, outputs: Sequence[Forest]
    ) -> None: ...
    @property
    def feature_names(self) -> list[str]: ...
    @property
    def borders(self) -> list[list[float]]: ...
    @property
    def outputs(self) -> list[Forest]: ...
    def score_row(self, row: Sequence[float]) -> list[float]:
        """All outputs for one row, by the reference; NaN is missing."""

    def to_json(self) -> str: ...
    @staticmethod
    def from_json(json_text: str) -> ForestModel: ...

def bin_features(features: object, *, max_border_count: int = 126) -> BinnedFeatures:
    """Bin a C-contiguous float32 array of two dimensions, rows by features."""

def train_forest(
    features: BinnedFeatures,
    targets: object,
    *,
    weights: object | None = None,
    options: TrainOptions = ...,
    name: str = "",
) -> Forest:
    """Train one output; ``targets`` and ``weights`` are float32 arrays of one dimension."""
