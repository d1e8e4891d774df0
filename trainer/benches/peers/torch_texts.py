#!/usr/bin/env python3
"""CPU time of one training step of the encoder of texts in PyTorch, on AG News, as `examples/train_texts.rs` makes it.

  OMP_NUM_THREADS=1 python3 trainer/benches/peers/torch_texts.py DIR --batch 16 [--sparse]

EmbeddingBag(mean, 50), head 50-50-50, NT-Xent at t = 0.5, SGD with momentum behind LARC's rule. With --sparse the gradient of
the embeddings is sparse; PyTorch has no momentum and no norms for that, so they then take a plain SGD step: less work.
Views are made before the clock starts.
"""
import argparse
import collections
import csv
import json
import math
import pathlib
import re
import time

import torch
from torch import nn
from torch.nn import functional as F

RULES = [("'", " '  "), ('"', ""), (r"\.", " . "), ("<br />", " "), (",", " , "), (r"\(", " ( "), (r"\)", " ) "),
         ("!", " ! "), (r"\?", " ? "), (";", " "), (":", " ")]


def tokens(line):
    line = line.lower()
    for pattern, replacement in RULES:
        line = re.sub(pattern, replacement, line)
    return line.split()


def texts(folder):
    files = [pathlib.Path(folder) / "ag_news" / name for name in ("train.csv", "train_subset.csv")]
    with next(file for file in files if file.exists()).open(encoding="utf-8", newline="") as file:
        lines = [tokens(" ".join(row[1:])) for row in csv.reader(file)]
    counts = collections.Counter(word for line in lines for word in line)
    words = [word for word, count in counts.items() if count >= 5]
    number = {word: i for i, word in enumerate(words)}
    return [torch.tensor([number.get(word, len(words)) for word in line]) for line in lines], len(words) + 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sparse", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(7)
    data, vocabulary = texts(args.folder)
    bag = nn.EmbeddingBag(vocabulary, 50, mode="mean", sparse=args.sparse)
    head = nn.Sequential(nn.Linear(50, 50), nn.BatchNorm1d(50), nn.ReLU(), nn.Linear(50, 50, bias=False))
    adapted = list(head.parameters()) + ([] if args.sparse else list(bag.parameters()))
    optimisers = [torch.optim.SGD(adapted, lr=0.1, momentum=0.9)]
    if args.sparse:
        optimisers.append(torch.optim.SGD(bag.parameters(), lr=0.1))
    same = torch.eye(2 * args.batch, dtype=torch.bool)
    positive = torch.arange(2 * args.batch).roll(args.batch)

    def batch():
        views = [data[i] for i in torch.randint(len(data), (args.batch,))]
        views = [view[torch.rand(len(view)) >= 0.2] for view in views + views]
        ends = torch.tensor([len(view) for view in views]).cumsum(0)
        return torch.cat(views), torch.cat([torch.zeros(1, dtype=torch.long), ends[:-1]])

    batches = [batch() for _ in range(50)]

    def step(index):
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        z = F.normalize(head(bag(*batches[index % len(batches)])), dim=1)
        F.cross_entropy((z @ z.t() / 0.5).masked_fill(same, -math.inf), positive).backward()
        with torch.no_grad():
            for parameter in adapted:
                w, g = parameter.norm(), parameter.grad.norm()
                if w != 0 and g != 0:
                    parameter.grad.mul_(0.001 * w / (g + 1e-8))
        for optimiser in optimisers:
            optimiser.step()

    for index in range(10):
        step(index)
    seconds = []
    for _ in range(args.rounds):
        start = time.process_time()
        for index in range(args.steps):
            step(index)
        seconds.append((time.process_time() - start) / args.steps)
    step_us = sorted(seconds)[len(seconds) // 2] * 1e6
    print(json.dumps({"peer": f"PyTorch {torch.__version__}", "batch": args.batch, "sparse": args.sparse,
                      "words": vocabulary, "step_us": round(step_us, 1)}))


main()
