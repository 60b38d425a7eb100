"""Sources that need torch, which the processes that make their items import."""

from __future__ import annotations

import numpy as np
import torch


class TorchDraws:
    """Samples of what torch draws."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> np.ndarray:
        return torch.rand(1).numpy()
