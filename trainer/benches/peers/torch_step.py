#!/usr/bin/env python3
"""The training step of `trainer bench` in PyTorch, timed the same way: the peer of `against_torch.py`.

Networks for images of SIDE x SIDE (32), parameter for parameter those of `trainer bench --net`:
  mlp       linear 3072-1024-512-512-128, bias and ReLU; only for 32x32
  small     3x3 convolutions 32-64-128-256, strides 1, 2, 2, 2, batch norm, ReLU; mean; head 256-256-128
  resnet18  3x3 stem without pooling, eight basic blocks; mean; head 512-512-128
  resnet50  7x7/2 stem with 3x3/2 max pooling, sixteen bottlenecks, stride on the 3x3; mean; head 2048-2048-128
A step: forward over BATCH images (both views counted), NT-Xent at t = 0.5, backward, AdamW. No augmentation.
Three warm-up steps; three rounds of STEPS steps, of which the median counts; then stages, synchronised one by one.
Prints one JSON line.
"""
import argparse
import json
import resource
import statistics
import time

import torch
from torch import nn
from torch.nn import functional


def conv_norm(inputs, outputs, size, stride):
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs))


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = conv_norm(inputs, outputs, 3, stride)
        self.second = conv_norm(outputs, outputs, 3, 1)
        changes = stride != 1 or inputs != outputs
        self.around = conv_norm(inputs, outputs, 1, stride) if changes else nn.Identity()

    def forward(self, x):
        hidden = functional.relu(self.first(x), inplace=True)
        return functional.relu(self.second(hidden) + self.around(x), inplace=True)


class Bottleneck(nn.Module):
    def __init__(self, inputs, inner, stride):
        super().__init__()
        outputs = 4 * inner
        self.first = conv_norm(inputs, inner, 1, 1)
        self.second = conv_norm(inner, inner, 3, stride)
        self.third = conv_norm(inner, outputs, 1, 1)
        changes = stride != 1 or inputs != outputs
        self.around = conv_norm(inputs, outputs, 1, stride) if changes else nn.Identity()

    def forward(self, x):
        hidden = functional.relu(self.first(x), inplace=True)
        hidden = functional.relu(self.second(hidden), inplace=True)
        return functional.relu(self.third(hidden) + self.around(x), inplace=True)


def head(features):
    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return pooled + [nn.Linear(features, features), nn.ReLU(), nn.Linear(features, 128, bias=False)]


def mlp():
    layers = [nn.Flatten()]
    for inputs, outputs in [(3072, 1024), (1024, 512), (512, 512)]:
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(512, 128))


def small():
    layers, inputs = [], 3
    for outputs, stride in [(32, 1), (64, 2), (128, 2), (256, 2)]:
        layers += [conv_norm(inputs, outputs, 3, stride), nn.ReLU(inplace=True)]
        inputs = outputs
    return nn.Sequential(*layers, *head(256))


def resnet18():
    layers, inputs = [conv_norm(3, 64, 3, 1), nn.ReLU(inplace=True)], 64
    for outputs in [64, 128, 256, 512]:
        layers.append(Residual(inputs, outputs, 1 if outputs == inputs else 2))
        layers.append(Residual(outputs, outputs, 1))
        inputs = outputs
    return nn.Sequential(*layers, *head(512))


def resnet50():
    layers, inputs = [conv_norm(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)], 64
    for stage, blocks in enumerate([3, 4, 6, 3]):
        inner = 64 << stage
        for block in range(blocks):
            layers.append(Bottleneck(inputs, inner, 2 if stage and not block else 1))
            inputs = 4 * inner
    return nn.Sequential(*layers, *head(2048))


NETS = {"mlp": mlp, "small": small, "resnet18": resnet18, "resnet50": resnet50}


def nt_xent(features, temperature=0.5):
    unit = functional.normalize(features.float(), dim=1)
    views = len(unit)
    logits = unit @ unit.T / temperature
    logits = logits.masked_fill(torch.eye(views, dtype=torch.bool, device=unit.device), float("-inf"))
    other_view = (torch.arange(views, device=unit.device) + views // 2) % views
    return functional.cross_entropy(logits, other_view)


class Step:
    def __init__(self, args):
        self.args = args
        self.on_gpu = args.device.startswith("cuda")
        self.model = NETS[args.net]().to(args.device)
        self.images = torch.randn(args.batch, 3, args.side, args.side, device=args.device)
        if args.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
            self.images = self.images.contiguous(memory_format=torch.channels_last)
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=1e-3, weight_decay=0.01, fused=self.on_gpu, foreach=not self.on_gpu
        )
        self.forward = torch.compile(self.model) if args.compile else self.model

    def synchronise(self):
        if self.on_gpu:
            torch.cuda.synchronize()

    def run(self, mark=lambda: None):
        kind = "cuda" if self.on_gpu else "cpu"
        mark()
        with torch.autocast(kind, torch.bfloat16, enabled=self.args.dtype == "bf16"):
            loss = nt_xent(self.forward(self.images))
        mark()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        mark()
        self.optimiser.step()
        mark()

    def stages(self):
        marks = []

        def mark():
            self.synchronise()
            marks.append(time.perf_counter())

        self.run(mark)
        return [after - before for before, after in zip(marks, marks[1:])]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=list(NETS), required=True)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    step = Step(args)
    for _ in range(3):
        step.run()
    walls, cpus = [], []
    for _ in range(3):
        step.synchronise()
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(args.steps):
            step.run()
        step.synchronise()
        walls.append((time.perf_counter() - wall) / args.steps)
        cpus.append((time.process_time() - cpu) / args.steps)
    stages = [step.stages() for _ in range(max(3, args.steps // 2))]
    forward, backward, optimiser = (1e3 * statistics.median(values) for values in zip(*stages))
    if step.on_gpu:
        peak, device_name = torch.cuda.max_memory_allocated(), torch.cuda.get_device_name()
    else:
        peak, device_name = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, None
    report = {
        "program": f"torch {torch.__version__}",
        "net": args.net,
        "side": args.side,
        "batch": args.batch,
        "device": args.device,
        "device_name": device_name,
        "dtype": args.dtype,
        "threads": args.threads,
        "channels_last": args.channels_last,
        "compile": args.compile,
        "images_per_s": args.batch / statistics.median(walls),
        "images_per_cpu_s": args.batch / statistics.median(cpus),
        "forward_ms": forward,
        "backward_ms": backward,
        "optimiser_ms": optimiser,
        "peak_memory_bytes": peak,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
