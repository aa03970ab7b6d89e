"""The Lightning data module: training windows at random, validation windows on a grid."""

import os
from collections.abc import Sequence

from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from crispmap.data.scene import Region
from crispmap.data.statistics import Statistics
from crispmap.data.windows import GridWindows, TrainingWindows
from crispmap.geo.raster import small_cache

Batch = dict[str, Tensor]


class WindowDataModule(LightningDataModule):
    """Batches of ``{"image": (N, bands, H, W) float32, "label": (N, H, W) uint8}``.

    Training batches also hold ``"distance"``, (N, H, W) float32, where asked for.

    Args:
        train: Where training windows may lie.
        val: What validation covers.
        window: Side of a window in pixels that the network sees.
        batch_size: Windows a step, in each process.
        steps: Of the whole run.
        steps_per_epoch: Steps between two validations; the last epoch is shorter where they do not divide the run.
        seed: Every training sample is a pure function of it and of the sample's number.
        class_share: The share of training windows placed so that they contain the class.
        val_windows: At most so many validation windows.
        statistics: Of the imagery, for photometric changes; none are made without it.
        distance: Whether training samples carry the signed distance maps of their labels.
        workers: Loader processes; by default one a core but one, at most eight.
    """

    def __init__(
        self,
        train: Sequence[Region],
        val: Sequence[Region],
        *,
        window: int,
        batch_size: int,
        steps: int,
        steps_per_epoch: int,
        seed: int,
        class_share: float = 0.75,
        val_windows: int = 200,
        statistics: Statistics | None = None,
        distance: bool = False,
        workers: int | None = None,
    ) -> None:
        super().__init__()
        self.train_windows = TrainingWindows(train, window, seed, class_share, statistics, distance)
        self.val_windows = GridWindows(val, window, val_windows)
        self.batch_size = batch_size
        self.steps = steps
        self.steps_per_epoch = steps_per_epoch
        self.workers = min(8, max(1, (os.cpu_count() or 1) - 1)) if workers is None else workers

    def train_dataloader(self) -> DataLoader[Batch]:
        """The windows of the current epoch: sample numbers go on where the epoch before ended.

        The trainer must ask anew in every epoch (``reload_dataloaders_every_n_epochs=1``). Of n processes each takes
        every n-th sample, so that a step of all of them sees what one process would with n times the batch; Lightning's
        own sampler, which shuffles, must be off (``use_distributed_sampler=False``).
        """
        epoch = self.trainer.current_epoch if self.trainer else 0
        rank, processes = self._share
        first = epoch * self.steps_per_epoch
        last = first + self.steps_per_epoch
        if first < self.steps < last:
            last = self.steps
        batch = self.batch_size * processes
        return self._loader(self.train_windows, range(first * batch + rank, last * batch, processes))

    def val_dataloader(self) -> DataLoader[Batch]:
        """Windows on a grid, shared among the processes."""
        rank, processes = self._share
        return self._loader(self.val_windows, range(rank, len(self.val_windows), processes))

    @property
    def _share(self) -> tuple[int, int]:
        """Which process this is, and of how many."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _loader(self, windows: Dataset[Batch], numbers: range) -> DataLoader[Batch]:
        return DataLoader(
            windows, self.batch_size, sampler=numbers, num_workers=self.workers, worker_init_fn=_keep_little
        )


def _keep_little(worker: int) -> None:
    """Files stay open in a worker, so that what GDAL keeps of them would grow to a share of memory, in each anew."""
    small_cache().__enter__()  # for as long as the worker lives
