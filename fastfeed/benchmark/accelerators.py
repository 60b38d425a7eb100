"""MLPerf Storage's accelerators: a batch, then a sleep as long as the training step would be.

Batch sizes, record sizes and computation times are those of MLPerf Storage's configurations for
DLIO, https://github.com/mlcommons/storage, configs/dlio/workload/<name>.yaml, commit caa90c9; the
records of ResNet-50 have the size that DLIO hands out (record_length_bytes_resize), the others the
mean size that is read (record_length_bytes).

Here records come from memory, not from a storage system: what is measured is the loader.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastfeed.benchmark.works import Prepared


@dataclass(frozen=True)
class Accelerator:
    """One of MLPerf Storage's workloads on one kind of accelerator.

    Parameters
    ----------
    batch_size : int
        Records a step.
    record_bytes : int
    step_seconds : float
        What one step computes.
    least_au : float
        Accelerator utilization that must be reached.
    """

    batch_size: int
    record_bytes: int
    step_seconds: float
    least_au: float

    def record_of(self, scale: float) -> int:
        """Return the bytes of a record at this scale."""
        return max(1, round(self.record_bytes * scale))

    def records(self, scale: float, length: int) -> Prepared:
        """Return a source of `length` batches of shape (batch_size, record), uint8."""
        return Prepared((self.batch_size, self.record_of(scale)), "uint8", length)


ACCELERATORS = {
    "resnet50-h100": Accelerator(400, 150528, 0.224, 0.90),
    "resnet50-a100": Accelerator(400, 150528, 0.435, 0.90),
    "cosmoflow-h100": Accelerator(1, 2828486, 0.00350, 0.70),
    "cosmoflow-a100": Accelerator(1, 2828486, 0.00551, 0.70),
    "unet3d-h100": Accelerator(7, 146600628, 0.323, 0.90),
    "unet3d-a100": Accelerator(7, 146600628, 0.636, 0.90),
}


def utilization(step_seconds: float, seconds_a_step: float) -> float:
    """Return AU, from 0 to 1: what was computed over the time that it took.

    MLPerf Storage's Submission_guidelines.md, section 4: AU = total_compute_time /
    total_benchmark_running_time, without the first step.
    """
    return step_seconds / seconds_a_step
