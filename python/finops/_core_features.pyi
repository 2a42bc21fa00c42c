"""Histories of jobs and their features in the C++ core.

`_core.pyi` gives them out. There is no such module: it is this part of the extension's stub.
Columns are lists or buffers of one length, by name: job_id, user, group, queue, name, gpu_model
(text); gpu_count, node_count, requested_seconds, planned_steps, submit_ns, start_ns, end_ns (whole
numbers; None or -2**63 is not known); run_seconds; status (0 to 4, in JobStatus's order).
"""

from collections.abc import Iterable
from typing import Any, TypedDict, final

class FeatureColumns(TypedDict):
    features: bytearray  # float32, [len(history) x len(feature_names())], row-major
    anchor_log_gpu_seconds: bytearray  # float64
    anchor_mean_gpu_seconds: bytearray  # float64
    anchor_job_count: bytearray  # int32

def feature_names() -> list[str]: ...
def feature_monotone() -> list[int]: ...

@final
class JobHistory:
    def __init__(self, columns: dict[str, Iterable[Any]]) -> None: ...
    def __len__(self) -> int: ...
    @property
    def job_ids(self) -> list[str]: ...  # by submit time, then job id: the order of the rows
    @property
    def problems(self) -> list[tuple[int, str, str]]: ...  # row, column, why; the first 1000
    @property
    def problem_count(self) -> int: ...
    @property
    def cpu_job_count(self) -> int: ...
    @property
    def unfinished_count(self) -> int: ...
    @property
    def assumed_time_count(self) -> int: ...
    def build_features(self) -> FeatureColumns: ...
