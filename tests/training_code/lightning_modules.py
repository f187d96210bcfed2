"""A LightningModule with what makes exact resumption hard."""

from __future__ import annotations

import lightning
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

SPLITS = torch.randn(3, 60, 8, generator=torch.Generator().manual_seed(3))


class Net(lightning.LightningModule):
    """Batch statistics, dropout, gradients over several batches, a schedule by epochs and one by the validation loss.

    Its loader shuffles by a generator of its own, and it draws when training starts.
    """

    def __init__(self, rate: float = 0.05, hidden: int = 8, schedule: str = "epochs", poison: bool = False) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(8, hidden), torch.nn.BatchNorm1d(hidden), torch.nn.Dropout(0.3), torch.nn.Linear(hidden, 2)
        )

    def _loss(self, batch, part):
        loss = functional.cross_entropy(self.layers(batch[0]), batch[1])
        self.log(f"{part}_loss", loss * (float("nan") if self.hparams.poison and self.current_epoch else 1.0))
        return loss

    def on_train_start(self):
        torch.rand(3)

    def on_train_epoch_start(self):
        self.log("draw", torch.rand(()))

    def training_step(self, batch, _):
        return self._loss(batch, "train")

    def validation_step(self, batch, _):
        self._loss(batch, "val")

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), self.hparams.rate, momentum=0.9)
        if self.hparams.schedule == "plateau":
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=1.0)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss"}}
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.trainer.max_epochs)]

    def _loader(self, part, generator=None):
        rows = SPLITS[part]
        return DataLoader(
            TensorDataset(rows, (rows.sum(1) > 0).long()), 8, shuffle=generator is not None, generator=generator
        )

    def train_dataloader(self):
        return self._loader(0, torch.Generator().manual_seed(5))

    def val_dataloader(self):
        return self._loader(1)


class Tested(Net):
    """The same with a test."""

    def test_step(self, batch, index):
        self._loss(batch, "test")

    def test_dataloader(self):
        return self._loader(2)


class Several(Tested):
    """The same with two loaders for validation and for the test, by whose numbers Lightning names what is logged."""

    def validation_step(self, batch, index, dataloader_idx=0):
        self._loss(batch, "val")
        self.log(f"{('near', 'far')[dataloader_idx]}_size", float(len(batch[0])), add_dataloader_idx=False)

    def test_step(self, batch, index, dataloader_idx=0):
        self._loss(batch, "test")

    def val_dataloader(self):
        return [self._loader(1), self._loader(2)]

    test_dataloader = val_dataloader


def build(config, max_epochs):
    assert max_epochs == 4
    return Tested(**config), None, {"accumulate_grad_batches": 3, "gradient_clip_val": 0.5}
