"""Makes weights/digits_net.safetensors: digits_net learns printed letters, to be fine-tuned to digits later.

    python -m trainables.pretrain_digits

Letters (no digits) are rendered from the fonts that matplotlib ships, distorted a little, and reduced to 8x8 pixels
by the procedure that made scikit-learn's digits: 32x32 bitmaps, summed in blocks of 4x4 (Alpaydin and Kaynak 1998).
It runs in one thread from a seed: the same machine and versions give the same weights. Writes only the weights file.
"""

from __future__ import annotations

import argparse
import string
from pathlib import Path

import matplotlib
import torch
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import save_file
from torch import Generator, Tensor, nn
from torch.nn import functional

from hpo.files import appearing
from trainables.digits_net import DigitsNet
from trainables.pretrained import IMAGENET_MEAN, IMAGENET_STD

WEIGHTS = Path(__file__).parent / "weights" / "digits_net.safetensors"
FONTS = ("DejaVuSans", "DejaVuSerif", "STIXGeneral", "cmr10", "cmb10", "cmss10", "cmti10", "cmtt10", "cmmi10")
SIDE, CELLS = 32, 8  # pixels a side of a bitmap, and after the reduction


def fonts() -> list[Path]:
    """Returns matplotlib's fonts that have the Latin letters, sorted."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return sorted(p for p in folder.glob("*.ttf") if p.name.startswith(FONTS) and "Display" not in p.name)


def glyph(letter: str, font: ImageFont.FreeTypeFont) -> Tensor:
    """Draws a letter, white on black, as large as the bitmap allows; float [SIDE, SIDE] in [0, 1]."""
    left, top, right, bottom = (round(edge) for edge in font.getbbox(letter))
    picture = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(picture).text((-left, -top), letter, fill=255, font=font)
    scale = (SIDE - 2) / max(picture.size)
    small = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    bitmap = Image.new("L", (SIDE, SIDE))
    bitmap.paste(small, ((SIDE - small.width) // 2, (SIDE - small.height) // 2))
    return torch.tensor(list(bitmap.tobytes()), dtype=torch.float32).reshape(SIDE, SIDE) / 255


def letters(paths: list[Path]) -> tuple[Tensor, Tensor]:
    """Draws every letter in upper and lower case in every font: float [N, 1, SIDE, SIDE], and its number, int64 [N]."""
    drawn = [
        (glyph(c, font), string.ascii_lowercase.index(c.lower()))
        for font in (ImageFont.truetype(str(p), 64) for p in paths)
        for c in string.ascii_letters
    ]
    return torch.stack([image for image, _ in drawn])[:, None], torch.tensor([k for _, k in drawn])


def distort(images: Tensor, generator: Generator) -> Tensor:
    """Returns float [N, 3, SIDE, SIDE] in [0, 1]: images as if drawn by hand, in the digits' resolution.

    Each is turned, sheared, scaled and shifted a little, with wider or thinner strokes; reduced to 16 levels on 8x8
    cells; and enlarged as the digits are.
    """
    count = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    angle, shear = uniform(-0.25, 0.25), uniform(-0.3, 0.3)
    wide, tall = 1 / uniform(0.6, 1.05), 1 / uniform(0.85, 1.05)
    row_x = torch.stack([wide * angle.cos(), wide * (shear - angle.sin()), uniform(-0.12, 0.12)], 1)
    row_y = torch.stack([tall * angle.sin(), tall * angle.cos(), uniform(-0.08, 0.08)], 1)
    grid = functional.affine_grid(torch.stack([row_x, row_y], 1), list(images.shape), align_corners=False)
    warp = 0.12 * (2 * torch.rand(count, 2, 4, 4, generator=generator) - 1)  # uneven strokes, as a hand's are
    bent = grid + functional.interpolate(warp, (SIDE, SIDE), mode="bicubic").permute(0, 2, 3, 1)
    moved = functional.grid_sample(images, bent, align_corners=False)
    blurred = functional.avg_pool2d(moved, 3, 1, 1)
    ink = torch.sigmoid((blurred - uniform(0.1, 0.5)[:, None, None, None]) * 20)
    cells = (functional.avg_pool2d(ink, SIDE // CELLS) * 16).round() / 16
    large = functional.interpolate(cells, (SIDE, SIDE), mode="bilinear")
    return large.clamp(0, 1).expand(-1, 3, -1, -1)


def pretrain(
    images: Tensor, labels: Tensor, *, epochs: int, repeats: int = 8, seed: int = 0
) -> tuple[DigitsNet, float]:
    """Returns the trained network and its accuracy over the last epoch. An epoch has each image `repeats` times."""
    generator = Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DigitsNet(26).train()
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    order = torch.arange(len(images)).repeat(repeats)
    steps = epochs * -(-len(order) // 128)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    right = 0
    for _ in range(epochs):
        right = 0
        for chosen in order[torch.randperm(len(order), generator=generator)].split(128):
            logits = model((distort(images[chosen], generator) - mean) / std)
            loss = nn.functional.cross_entropy(logits, labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            right += int((logits.argmax(1) == labels[chosen]).sum())
    return model.eval(), right / len(order)


def save(model: DigitsNet, path: Path) -> None:
    """Writes the backbone without its head, since a new task has its own; whole or not at all."""
    backbone = {k: v.contiguous() for k, v in model.state_dict().items() if not k.startswith("classifier.")}
    with appearing(path) as beside:
        save_file(backbone, beside, {"task": "printed letters", "made by": "python -m trainables.pretrain_digits"})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    images, labels = letters(fonts())
    model, accuracy = pretrain(images, labels, epochs=options.epochs)
    save(model, options.out)
    print(f"{len(images)} letters, training accuracy {accuracy:.3f} in the last epoch -> {options.out}")


if __name__ == "__main__":
    main()
