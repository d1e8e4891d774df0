"""Decodes a folder of JPEGs with Pillow, torchvision and the trainer, with as many workers, in turn, and prints the rates.

Run from the repository: cargo build --release -p trainer --example decode_images
                         python3 trainer/benches/against_pillow.py [--images 2000] [--rounds 3]
Needs pillow and numpy; torchvision is left out where it is not installed. All read the same files from the same (warm)
page cache, resize the shorter side to 256 by the antialiased triangle filter and cut 224 x 224 from the centre. Pillow and
torchvision (io.decode_jpeg, then resize of bytes) run in pools of processes, as in a loader of PyTorch, whose start is not
counted, and give the pixels to nobody; the trainer also writes, syncs and checks its file of decoded images. Then the
pixels of some images are compared with Pillow's.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

try:
    import torch
    import torchvision
    from torchvision.transforms.v2 import functional as F
except ImportError:
    torchvision = None

SIDE, SHORT = 224, 256


def decoded(path):
    image = Image.open(path).convert("RGB")
    width, height = image.size
    if width <= height:
        size = (SHORT, SHORT * height // width)
    else:
        size = (SHORT * width // height, SHORT)
    image = image.resize(size, Image.BILINEAR)
    left, top = (round((length - SIDE) / 2) for length in size)
    return np.asarray(image.crop((left, top, left + SIDE, top + SIDE)))


def decode(path):
    return int(decoded(path)[0, 0, 0])


def decode_by_torchvision(path):
    image = torchvision.io.decode_jpeg(torchvision.io.read_file(str(path)), mode=torchvision.io.ImageReadMode.RGB)
    image = F.center_crop(F.resize(image, SHORT, antialias=True), [SIDE, SIDE])
    return int(image[0, 0, 0])


def one_thread():
    if torchvision:
        torch.set_num_threads(1)


def write_images(folder, count):
    """Smooth fields with noise, 500 x 375 as most of ImageNet's: about 100 kB each at quality 90."""
    rng = np.random.default_rng(7)
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        fine = np.asarray(coarse.resize((500, 375), Image.BICUBIC)).astype(np.int16)
        noisy = np.clip(fine + rng.normal(0, 8, fine.shape), 0, 255).astype(np.uint8)
        path = folder / "train" / "ab"[i % 2] / f"{i:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy).save(path, quality=90)


def compare(folder, files):
    """The greatest and the mean difference of the pixels of some images; the file of decoded images says where they are."""
    kept = folder / ".decoded" / f"{SIDE}-of-{SHORT}.images"
    bytes_ = np.memmap(kept, dtype=np.uint8, mode="r", offset=4096)
    size = SIDE * SIDE * 3
    most, mean = 0, []
    for i in range(0, len(files), max(1, len(files) // 16)):
        ours = np.asarray(bytes_[i * size : (i + 1) * size]).reshape(SIDE, SIDE, 3).astype(int)
        difference = np.abs(ours - decoded(files[i]).astype(int))
        most, mean = max(most, int(difference.max())), mean + [float(difference.mean())]
    return {"greatest_difference": most, "mean_difference": round(statistics.mean(mean), 4)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--program", default="target/release/examples/decode_images")
    arguments = parser.parse_args()
    workers = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_images(folder, arguments.images)
        files = sorted(folder.glob("train/*/*.jpg"))
        loaders = {"pillow": decode} | ({"torchvision": decode_by_torchvision} if torchvision else {})
        theirs, ours = {name: [] for name in loaders}, []
        with multiprocessing.get_context("spawn").Pool(workers, one_thread) as pool:
            for loader in loaders.values():
                pool.map(loader, files[: 4 * workers])
            for _ in range(arguments.rounds):
                for name, loader in loaders.items():
                    begin = time.perf_counter()
                    pool.map(loader, files, chunksize=16)
                    theirs[name].append(len(files) / (time.perf_counter() - begin))
                shutil.rmtree(folder / ".decoded", ignore_errors=True)
                command = [arguments.program, str(folder), str(SIDE), str(SHORT)]
                found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                assert found["images"] == len(files), found
                ours.append(found["images_per_second"])
        ours = statistics.median(ours)
        line = {"images": len(files), "workers": workers, "pillow": PIL.__version__}
        line |= {"torchvision": torchvision.__version__} if torchvision else {}
        line |= {"our_images_per_second": round(ours, 1)}
        for name, rates in theirs.items():
            rate = statistics.median(rates)
            line |= {f"{name}_images_per_second": round(rate, 1), f"ratio_to_{name}": round(ours / rate, 2)}
        print(json.dumps(line | compare(folder, files)))


if __name__ == "__main__":
    main()
