"""The scorer in the C++ core: oblivious trees, laid out to score rows fast.

`_core.pyi` gives it out. There is no such module: it is this part of the extension's stub.
"""

from collections.abc import Sequence
from typing import final

@final
class Scorer:
    def __init__(
        self,
        *,
        feature_names: Sequence[str],
        borders: Sequence[Sequence[float]],
        outputs: Sequence[
            tuple[
                str, float, float, Sequence[tuple[Sequence[tuple[int, int, bool]], Sequence[int]]]
            ]
        ],
        instruction_set: str | None = None,
    ) -> None: ...
    @property
    def feature_count(self) -> int: ...
    @property
    def output_count(self) -> int: ...
    @property
    def instruction_set(self) -> str: ...
    def score_one(self, row: object, /) -> float | tuple[float, ...]: ...
    def score_batch(self, rows: object, outputs: object, *, thread_count: int = 1) -> None: ...
    def score_grid(
        self, jobs: object, placements: object, outputs: object, *, thread_count: int = 1
    ) -> None: ...

def best_instruction_set() -> str: ...
