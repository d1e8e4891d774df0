#!/usr/bin/env python3
"""Writes golden.npz and recipes.npz: images, fixed parameters, and what torchvision makes of them.

    python -m venv /tmp/tv && /tmp/tv/bin/pip install torch torchvision numpy
    /tmp/tv/bin/python trainer/tests/augment/make_golden.py
    /tmp/tv/bin/pip install pillow
    /tmp/tv/bin/python trainer/tests/augment/make_golden.py --laws     # how published blurs differ

Made with torch 2.15.0, torchvision 0.29.2. golden.npz, after every step, for n cases, S the side of a view:
    images  u8  [n, H, W, 3]    the image
    crops   i64 [n, 4]          top, left, height, width
    flips   i64 [n]             0 or 1
    factors f32 [n, 4]          brightness, contrast, saturation, hue
    orders  i64 [n, 4]          the parts as applied: 0 brightness, 1 contrast, 2 saturation, 3 hue
    stages  f32 [n, 6, S, S, 3] after crop and flip, after each of the four parts, and grey of the last
    grey_stages f32 [n, 6, S, S, 1] the same of the images' first channel alone

recipes.npz, whole views as MoCo v2 and SimCLR make them, of images [H, W, 3] whose bytes are those of image_of:
    sizes   i64 [n, 3]          H, W, S
    crops, flips, factors, orders as above
    greys   i64 [n]             0 or 1
    sigmas  f32 [n]             of the blur; 0: none
    values  f32 [n, 700]        numbers 7919 k modulo S S C of the view, k = 0, 1, ..., 699
    grey_values f32 [n, 700]    of the view of the first channel
    centres i64 [m, 3], centre_values f32 [m, 700]  H, W, S, and what is evaluated of such an image
"""

import sys
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
    x = F.resized_crop(x, *crop, [SIZE, SIZE], InterpolationMode.BILINEAR, antialias=True)
    steps = [F.hflip(x) if flip else x]
    for part in order:
        steps.append(parts[part](steps[-1], float(factor[part])))
    steps.append(F.rgb_to_grayscale(steps[-1], image.shape[2]))
    return np.stack([step.permute(1, 2, 0).numpy() for step in steps]).astype(np.float32)


RECIPES = [  # order of the steps, (H, W, S), crop, flip, factors, order, grey, sigma
    ("moco", (256, 256, 224), (0, 0, 256, 256), 1, (1.3, 0.7, 1.4, 0.1), (0, 1, 2, 3), 0, 1.3),
    ("moco", (256, 256, 224), (13, 40, 230, 200), 1, (0.6, 1.4, 0.6, -0.1), (3, 2, 1, 0), 0, 2.0),
    ("moco", (256, 256, 224), (100, 3, 91, 80), 0, (0.8, 1.2, 1.1, 0.05), (2, 0, 3, 1), 1, 0.7),
    ("moco", (256, 320, 224), (7, 12, 240, 301), 0, (1.1, 0.9, 1.2, -0.03), (1, 3, 0, 2), 0, 0.0),
    ("simclr", (256, 256, 224), (1, 2, 250, 254), 1, (1.8, 0.3, 1.7, 0.2), (3, 1, 0, 2), 0, 0.1),
    ("simclr", (160, 200, 224), (5, 11, 150, 131), 0, (0.3, 1.7, 0.2, -0.2), (0, 2, 1, 3), 0, 1.9),
    ("simclr", (200, 130, 96), (0, 0, 200, 130), 1, (0.5, 1.5, 0.9, 0.15), (2, 1, 3, 0), 1, 0.45),
    ("simclr", (400, 50, 20), (3, 9, 390, 13), 0, (1.2, 1.1, 0.8, 0.0), (0, 1, 2, 3), 0, 1.0),
    ("simclr", (30, 30, 7), (0, 1, 30, 29), 1, (0.9, 0.8, 1.5, -0.15), (1, 0, 3, 2), 0, 1.5),
]
CENTRES = [(256, 256, 224), (33, 33, 16), (5, 5, 2), (6, 7, 3), (20, 20, 32), (20, 31, 32), (45, 21, 32)]
PLACES = 7919 * np.arange(700)


def image_of(height, width):
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    return ((3 * y * y + 5 * x * x + 7 * x * y * (c + 1) + 640 * c) // 16 % 256).astype(np.uint8)


def planes(image):
    return torch.from_numpy(image).permute(2, 0, 1).to(torch.float32) / 255


def chosen(view):
    flat = view.permute(1, 2, 0).numpy().ravel()
    return flat[PLACES % flat.size]


def kernel(size):
    return size // 10 // 2 * 2 + 1


def recipe(image, steps, size, crop, flip, factor, order, grey, sigma):
    parts = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue]
    x = F.resized_crop(planes(image), *crop, [size, size], InterpolationMode.BILINEAR, antialias=True)
    if flip and steps == "simclr":
        x = F.hflip(x)
    for part in order:
        x = parts[part](x, float(factor[part]))
    if grey:
        x = F.rgb_to_grayscale(x, len(x))
    if sigma > 0 and kernel(size) > 1:
        x = F.gaussian_blur(x, [kernel(size)] * 2, [float(sigma)] * 2)
    if flip and steps == "moco":
        x = F.hflip(x)
    return chosen(x)


def centre(image, size):
    side = min(size, *image.shape[:2])
    return chosen(F.resize(F.center_crop(planes(image), [side, side]), [size, size], antialias=True))


def write_recipes(path):
    factors = np.array([case[4] for case in RECIPES], dtype=np.float32)
    sigmas = np.array([case[7] for case in RECIPES], dtype=np.float32)

    def values(channels):
        return np.stack([
            recipe(image_of(*sizes[:2])[:, :, :channels], steps, sizes[2], crop, flip, factor, order, grey, sigma)
            for (steps, sizes, crop, flip, _, order, grey, _), factor, sigma in zip(RECIPES, factors, sigmas)
        ])

    np.savez(
        path,
        sizes=np.array([case[1] for case in RECIPES], dtype=np.int64),
        crops=np.array([case[2] for case in RECIPES], dtype=np.int64),
        flips=np.array([case[3] for case in RECIPES], dtype=np.int64),
        factors=factors,
        orders=np.array([case[5] for case in RECIPES], dtype=np.int64),
        greys=np.array([case[6] for case in RECIPES], dtype=np.int64),
        sigmas=sigmas,
        values=values(3),
        grey_values=values(1),
        centres=np.array(CENTRES, dtype=np.int64),
        centre_values=np.stack([centre(image_of(*sizes[:2]), sizes[2]) for sizes in CENTRES]),
    )


def print_laws():
    """Differences from torchvision's blur of 23 pixels with mirrored edges, in units of 1/255."""
    from PIL import Image, ImageFilter

    noise = np.random.default_rng(7).integers(0, 256, (224, 224, 3)).astype(np.uint8)
    for name, image in [("noise", noise), ("image_of", image_of(224, 224))]:
        for sigma in [0.1, 0.5, 1.0, 1.5, 2.0]:
            ours = 255 * F.gaussian_blur(planes(image), [23, 23], [sigma, sigma])
            # SimCLR: the same kernel on zeros outside.
            padded = torch.nn.functional.pad(planes(image), [11] * 4)
            simclr = 255 * F.gaussian_blur(padded, [23, 23], [sigma, sigma])[:, 11:-11, 11:-11]
            pil = Image.fromarray(image).filter(ImageFilter.GaussianBlur(sigma))
            pil = torch.from_numpy(np.array(pil)).permute(2, 0, 1).to(torch.float32)
            inner = slice(11, -11)
            for law, other in [("SimCLR", simclr), ("PIL", pil)]:
                d = (other - ours).abs()
                middle = d[:, inner, inner]
                inside = f"mean {middle.mean():.2f}, max {middle.max():.1f} 11 pixels from the edges"
                print(f"{name}, sigma {sigma}, {law}: mean {d.mean():.2f}, max {d.max():.1f}; {inside}")


def main():
    if "--laws" in sys.argv:
        print_laws()
        return
    write_recipes(Path(__file__).with_name("recipes.npz"))
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
