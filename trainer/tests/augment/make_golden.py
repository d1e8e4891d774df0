#!/usr/bin/env python3
"""Writes golden.npz: small images, fixed parameters, and what torchvision makes of them after every step.

    python -m venv /tmp/tv && /tmp/tv/bin/pip install torch torchvision numpy
    /tmp/tv/bin/python trainer/tests/augment/make_golden.py

Made with torch 2.11.0 (CPU), torchvision 0.26.0. Arrays for n cases, S the side of a view:
    images  u8  [n, H, W, 3]    the image
    crops   i64 [n, 4]          top, left, height, width
    flips   i64 [n]             0 or 1
    factors f32 [n, 4]          brightness, contrast, saturation, hue
    orders  i64 [n, 4]          the parts as applied: 0 brightness, 1 contrast, 2 saturation, 3 hue
    stages  f32 [n, 6, S, S, 3] after crop and flip, after each of the four parts, and grey of the last
    grey_stages f32 [n, 6, S, S, 1] the same of the images' first channel alone
"""

from pathlib import Path

import numpy as np
import torch
import torchvision.transforms.functional as F
from torchvision.transforms import InterpolationMode

HEIGHT, WIDTH, SIZE = 14, 18, 12


def images(rng):
    noise = rng.integers(0, 256, (HEIGHT, WIDTH, 3))
    flat = np.full((HEIGHT, WIDTH, 3), (200, 30, 90))
    grey = np.repeat(rng.integers(0, 256, (HEIGHT, WIDTH, 1)), 3, axis=2)
    # All six sectors and edges of the hue, fully saturated, and black and white.
    palette = np.array([[255, 0, 0], [255, 255, 0], [0, 255, 0], [0, 255, 255], [0, 0, 255], [255, 0, 255], [0, 0, 0], [255, 255, 255]])
    saturated = palette[rng.integers(0, 8, (HEIGHT, WIDTH))]
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    smooth = np.stack([14 * x, 18 * y, 7 * x + 9 * y], axis=2)
    near_grey = 128 + rng.integers(-1, 2, (HEIGHT, WIDTH, 3))
    return np.stack([noise, flat, grey, saturated, smooth, near_grey, noise]).astype(np.uint8)


CASES = [  # crop, flip, factors, order
    ((0, 0, 14, 18), 0, (1.3, 0.7, 1.4, 0.1), (0, 1, 2, 3)),
    ((3, 2, 5, 7), 1, (0.6, 1.4, 0.6, -0.1), (3, 2, 1, 0)),
    ((1, 4, 12, 12), 0, (0.9, 1.2, 1.3, 0.05), (1, 3, 0, 2)),
    ((2, 1, 8, 12), 1, (1.4, 1.1, 0.8, 0.5), (2, 3, 1, 0)),
    ((5, 6, 6, 6), 1, (0.75, 0.65, 1.2, -0.5), (3, 0, 2, 1)),
    ((0, 3, 9, 1), 0, (1.1, 1.3, 1.4, -0.07), (2, 0, 3, 1)),
    ((13, 17, 1, 1), 1, (0.8, 0.9, 0.7, 0.03), (1, 0, 3, 2)),
]


def stages_of(image, factor, crop, flip, order):
    parts = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue]
    x = torch.from_numpy(image).permute(2, 0, 1).to(torch.float32) / 255
    x = F.resized_crop(x, *crop, [SIZE, SIZE], InterpolationMode.BILINEAR, antialias=False)
    steps = [F.hflip(x) if flip else x]
    for part in order:
        steps.append(parts[part](steps[-1], float(factor[part])))
    steps.append(F.rgb_to_grayscale(steps[-1], image.shape[2]))
    return np.stack([step.permute(1, 2, 0).numpy() for step in steps]).astype(np.float32)


def main():
    data = images(np.random.default_rng(7))
    factors = np.array([case[2] for case in CASES], dtype=np.float32)
    cases = [(factor, crop, flip, order) for factor, (crop, flip, _, order) in zip(factors, CASES)]
    np.savez(
        Path(__file__).with_name("golden.npz"),
        images=data,
        crops=np.array([case[0] for case in CASES], dtype=np.int64),
        flips=np.array([case[1] for case in CASES], dtype=np.int64),
        factors=factors,
        orders=np.array([case[3] for case in CASES], dtype=np.int64),
        stages=np.stack([stages_of(image, *case) for image, case in zip(data, cases)]),
        grey_stages=np.stack([stages_of(image[:, :, :1], *case) for image, case in zip(data, cases)]),
    )


if __name__ == "__main__":
    main()
