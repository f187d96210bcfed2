"""Which images of a source make up the splits of a task. Draws from the seed in the task's `data` alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from trainables import pixels, sources, splits
from trainables.errors import BadData
from trainables.sections import Data, Share
from trainables.sources import Part, Source
from trainables.splits import Indexes


class Catalog:
    """All images of a source under one numbering, part after part."""

    def __init__(self, source: Source) -> None:
        self.classes = source.classes
        self.remarks = list(source.remarks)
        self._parts: list[Part] = list(source.parts.values())
        self.labels = np.concatenate([part.labels for part in self._parts])
        self._starts = np.cumsum([0, *(len(part.labels) for part in self._parts)])
        self.parts = {name: np.arange(*self._starts[i : i + 2]) for i, name in enumerate(source.parts)}

    def pixels(self, i: int, image_size: int, *, crop: bool) -> NDArray[np.uint8]:
        """Decodes image `i` to uint8 [image_size, image_size, 3]."""
        part, place = self._find(i)
        return pixels.pixels(part.image(place), image_size, crop=crop)

    def called(self, i: int) -> str:
        """Returns the name of image `i` in messages."""
        part, place = self._find(i)
        return part.called(place)

    def plan(self, data: Data) -> list[Indexes]:
        """Returns the numbers of the images in train, validation and test; with folds, in each fold and in test.

        Adds a remark for each ready split that is not used.
        """
        rng = np.random.default_rng(data.seed)
        parts: dict[str, Indexes] = dict(self.parts)
        pool = parts.pop("all" if "all" in parts else "train")
        self._check_classes(pool if data.folds is None else np.concatenate([pool, parts.get("validation", pool[:0])]))

        def carve(what: str, share: Share, balanced: bool) -> Indexes:
            nonlocal pool
            labels = self.labels[pool]
            counts = np.bincount(labels, minlength=len(self.classes))
            wanted = splits.quotas(counts, share, balanced=balanced, what=f"data.{what}", classes=self.classes)
            taken, left = splits.take(labels, wanted, rng)
            chosen, pool = pool[taken], pool[left]
            return chosen

        def held_out(what: str, share: Share | None, balanced: bool) -> Indexes:
            if share is None:
                return parts.pop(what) if what in parts else carve(what, 0.2, balanced)
            if splits.is_share(share):
                return carve(what, share, balanced)
            ready = sources.split(str(share))
            if ready not in parts:
                valid = f"a fraction, a count, 'N per class' or a ready split ({', '.join(parts) or 'none here'})"
                raise BadData(f"data.{what} must be {valid}, but got {share!r}")
            return parts.pop(ready)

        test = held_out("test", data.test, balanced=False)
        if data.folds is None:
            validation = held_out("validation", data.validation, data.balanced)
            self._remark_unused(parts)
            return [carve("train", data.train, data.balanced), validation, test]
        pool = np.concatenate([pool, parts.pop("validation", pool[:0])])
        self._remark_unused(parts)
        pool = carve("train", data.train, data.balanced)
        return [*(pool[fold] for fold in splits.folds(self.labels[pool], data.folds, rng, self.classes)), test]

    def _check_classes(self, pool: Indexes) -> None:
        """Refuses a class that no image of the pool has, by its name and the split that has it."""
        counts = np.bincount(self.labels[pool], minlength=len(self.classes))
        if not len(counts) or counts.min():
            return
        missing = int(np.argmin(counts))
        held = [name for name, part in self.parts.items() if (self.labels[part] == missing).any()]
        where = f"it occurs only in {', '.join(held)}" if held else "no image has it"
        raise BadData(f"every class must have images to train on, but {self.classes[missing]!r} has none: {where}")

    def _remark_unused(self, parts: Mapping[str, Indexes]) -> None:
        for name, part in parts.items():
            self.remarks.append(f"the ready split {name} of {len(part)} images is not used: data asks for another")

    def _find(self, i: int) -> tuple[Part, int]:
        which = int(np.searchsorted(self._starts, i, side="right")) - 1
        return self._parts[which], int(i - self._starts[which])
