#!/usr/bin/env python3
"""Writes features.npz with save_features.py, the lines in docs/features.md, from a small model.

    python -m venv /tmp/tv && /tmp/tv/bin/pip install torch numpy
    /tmp/tv/bin/python trainer/tests/torch/make_features.py

Made with torch 2.11.0 (CPU), numpy 2.4.6: images of noise around four patterns, 160 to evaluate and 80 for training, an
untrained network with batch normalisation, 8 features.
"""

from pathlib import Path

import torch
from save_features import save_features
from torch import nn


def main():
    torch.manual_seed(7)
    patterns = torch.rand(4, 1, 8, 8)

    def data(count):
        labels = torch.arange(count) % 4
        return patterns[labels] + 0.2 * torch.randn(count, 1, 8, 8), labels

    def augment(batch):
        return batch.roll(int(torch.randint(-1, 2, ())), dims=3) + 0.1 * torch.randn_like(batch)

    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 8, bias=False))
    (images, labels), (train_images, train_labels) = data(160), data(80)
    model(augment(train_images))  # moves the running statistics
    save_features(Path(__file__).with_name("features.npz"), model, augment, images, labels, train_images, train_labels)


if __name__ == "__main__":
    main()
