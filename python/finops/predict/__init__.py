"""What jobs will use and cost, learned from one's own history. `finops.forecast` asks it.

Loaded on use: `import finops` loads none of it.
"""

from __future__ import annotations

from .forecast import Driver, Forecast, PastRun, forecast
from .model_store import ModelNote, StoredModel, load_model, model_path, save_model

__all__ = [
    "Driver",
    "Forecast",
    "ModelNote",
    "PastRun",
    "StoredModel",
    "forecast",
    "load_model",
    "model_path",
    "save_model",
]
