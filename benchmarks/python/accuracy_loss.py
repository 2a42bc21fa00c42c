"""The loss that bench_accuracy.py judges by, and that static models are chosen by.

Owns: QUANTILES, row_losses. Does not own: which rows count.
"""

from __future__ import annotations

import numpy as np
from accuracy_histories import Floats

QUANTILES = (0.1, 0.5, 0.9)


def row_losses(target: Floats, logs: Floats) -> Floats:
    """Mean of the three pinball losses of each row."""
    miss = target[:, None] - logs
    return np.maximum(np.array(QUANTILES) * miss, (np.array(QUANTILES) - 1) * miss).mean(axis=1)
