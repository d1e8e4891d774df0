#!/usr/bin/env python3
"""Writes checkpoints of small ResNets as PyTorch saves them, and what PyTorch computes with them.

    python -m venv /tmp/tv && /tmp/tv/bin/pip install torch torchvision numpy
    /tmp/tv/bin/python trainer/tests/torch/make_golden.py               # the files beside this script
    /tmp/tv/bin/python trainer/tests/torch/make_golden.py --resnet50    # resnet50.pt and resnet50.npz only
    /tmp/tv/bin/python trainer/tests/torch/make_golden.py --full DIR    # 64 channels: DIR/full.pt (46 MB), DIR/full.npz
    /tmp/tv/bin/pip install lightly
    /tmp/tv/bin/python trainer/tests/torch/make_golden.py --libraries DIR   # DIR/NAME.pt, DIR/NAME.npz as libraries save them
    /tmp/tv/bin/python trainer/tests/torch/make_golden.py --check DIR       # what examples/torch_agreement.rs made of them

Made with torch 2.11.0 (CPU), torchvision 0.26.0, numpy 2.4.6; the libraries' with torch 2.15.0,
torchvision 0.29.2, lightly 1.6.0; resnet50.pt with torch 2.15.0, torchvision 0.29.2. Weights are random, and the running statistics those of three random batches.

    published.pt      4 channels, the names, head and stem of Nozawa & Sato behind DistributedDataParallel, f32
    plain.pt          1 channel, torchvision's names, a head without normalisation, a classifier beside it, f16, in the entry state_dict of a larger dictionary
    resnet50.pt       torchvision's ResNet-50 of 1 channel, stem of 7x7 and pooling, names without a prefix, no head, f32
    legacy.pt         one tensor in the format before PyTorch 1.6
    channels_last.pt  one tensor in another order
    NAME.npz          images f32 [N, H, W, 3]; encoder, head f64 [N, d]: the features of NAME.pt, computed in f64;
                      resnet50: slopes f64 [parameters, 2], two numbers of each gradient (function gradients)
"""

import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        around = x if self.downsample is None else self.downsample(x)
        hidden = self.bn1(self.conv1(x)).relu()
        return (self.bn2(self.conv2(hidden)) + around).relu()


class Encoder(nn.Module):
    """torchvision's ResNet-18 with a 3x3 stem and no pooling behind it, for any number of channels."""

    def __init__(self, width, padding):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, padding, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        for stage in range(4):
            outputs = width << stage
            first = Block(max(width, outputs // 2), outputs, 1 if stage == 0 else 2)
            setattr(self, f"layer{stage + 1}", nn.Sequential(first, Block(outputs, outputs, 1)))

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        return x.mean(dim=(2, 3))


def torchvisions(padding):
    if padding is None:
        encoder = torchvision.models.resnet50()
        encoder.fc = nn.Identity()
        return encoder
    encoder = torchvision.models.resnet18()
    encoder.conv1 = nn.Conv2d(3, 64, 3, 1, padding, bias=False)
    encoder.maxpool = nn.Identity()
    encoder.fc = nn.Identity()
    assert list(encoder.state_dict()) == list(Encoder(64, padding).state_dict())
    return encoder


def narrow_resnet50():
    """torchvision's ResNet-50, its channels divided by 64."""
    encoder = torchvision.models.resnet50()
    for name, module in list(encoder.named_modules()):
        parent = encoder.get_submodule(name.rpartition(".")[0])
        if isinstance(module, nn.Conv2d):
            inputs = max(module.in_channels // 64, 1) if name != "conv1" else 3
            narrow = nn.Conv2d(inputs, module.out_channels // 64, module.kernel_size, module.stride, module.padding, bias=False)
            setattr(parent, name.rpartition(".")[2], narrow)
        elif isinstance(module, nn.BatchNorm2d):
            setattr(parent, name.rpartition(".")[2], nn.BatchNorm2d(module.num_features // 64))
    encoder.fc = nn.Identity()
    return encoder


def resnet50(folder):
    torch.manual_seed(7)
    encoder, head = narrow_resnet50(), nn.Identity()
    randomise(encoder, head, 19, (40, 33))
    torch.save(encoder.state_dict(), folder / "resnet50.pt")
    outputs(folder / "resnet50.npz", encoder, head, (3, 40, 33, 3), slopes=True)


def published_head(features):
    layers = OrderedDict(linear1=nn.Linear(features, features), bn1=nn.BatchNorm1d(features), relu1=nn.ReLU())
    layers["linear2"] = nn.Linear(features, 128, bias=False)
    return nn.Sequential(layers)


def randomise(encoder, head, seed, size=(9, 7)):
    """Scales and shifts that are not 1 and 0, and running statistics of three random batches."""
    torch.manual_seed(seed)
    for module in [*encoder.modules(), *head.modules()]:
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    encoder.train(), head.train()
    with torch.no_grad():
        for _ in range(3):
            head(encoder(torch.rand(16, 3, *size)))
    encoder.eval(), head.eval()


def outputs(path, encoder, head, shape, slopes=False):
    """Images and features, in f64 from the weights as saved."""
    images = np.random.default_rng(5).random(shape, dtype=np.float32)
    inputs = torch.from_numpy(images).double().permute(0, 3, 1, 2)
    with torch.no_grad():
        features = encoder.double()(inputs)
        arrays = dict(images=images, encoder=features.numpy(), head=head.double()(features).numpy())
    if slopes:
        arrays["slopes"] = gradients(encoder, inputs)
    np.savez(path, **arrays)


def gradients(encoder, inputs):
    """Of the sum of features f_k cos(k), k = 1, 2, …, in training: for each parameter g the sums of g_k cos(k) and g_k²."""
    waves = lambda x: x.flatten() @ torch.cos(torch.arange(1, x.numel() + 1, dtype=torch.float64))
    waves(encoder.train()(inputs)).backward()
    return np.array([[waves(p.grad), p.grad.square().sum()] for p in encoder.parameters()])


def published(folder, name, encoder, shape):
    torch.manual_seed(7)
    head = published_head(encoder.bn1.num_features * 8)
    randomise(encoder, head, 11)
    state = {f"module.f.{key}": value for key, value in encoder.state_dict().items()}
    state |= {f"module.g.projection_head.{key}": value for key, value in head.state_dict().items()}
    torch.save(OrderedDict(state), folder / f"{name}.pt")
    outputs(folder / f"{name}.npz", encoder, head, shape)


def plain(folder):
    torch.manual_seed(7)
    encoder = Encoder(1, 1)
    head = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 128, bias=False))
    randomise(encoder, head, 13)
    encoder.half(), head.half()
    encoder.add_module("fc", nn.Linear(8, 10).half())
    state = {f"encoder.{key}": value for key, value in encoder.state_dict().items()}
    state |= {f"projection_head.{key}": value for key, value in head.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": OrderedDict(state), "lr": 0.1, "betas": (0.9, 0.999)}, folder / "plain.pt")
    outputs(folder / "plain.npz", encoder, head, (3, 9, 7, 3))


def library_models():
    """Name, padding of the stem (none: torchvision's own ResNet-50), encoder, head, and the state dict under the names of a
    library, full width."""
    from lightly.models import ResNetGenerator
    from lightly.models.modules.heads import MoCoProjectionHead, SimCLRProjectionHead

    def prefixed(**modules):
        return {f"{name.replace('__', '.')}.{key}": v for name, m in modules.items() for key, v in m.state_dict().items()}

    encoder, head = torchvisions(None), nn.Identity()
    yield "torchvision_resnet50", None, encoder, head, encoder.state_dict() | prefixed(fc=nn.Linear(2048, 10))
    encoder, head = torchvisions(1), nn.Sequential()
    yield "torchvision", 1, encoder, head, encoder.state_dict() | prefixed(fc=nn.Linear(512, 10))
    encoder, head = torchvisions(1), SimCLRProjectionHead(512, 512, 128)
    backbone = nn.Sequential(*list(encoder.children())[:-1])
    yield "lightly", 1, encoder, head, prefixed(backbone=backbone, projection_head=head)
    resnet, head = ResNetGenerator("resnet-18"), MoCoProjectionHead(512, 256, 128)
    backbone = nn.Sequential(*list(resnet.children())[:-1], nn.AdaptiveAvgPool2d(1))
    encoder = nn.Sequential(backbone, nn.Flatten())
    momentum = prefixed(backbone_momentum=torchvisions(1), projection_head_momentum=MoCoProjectionHead(512, 256, 128))
    yield "lightly_generator", 1, encoder, head, prefixed(backbone=backbone, projection_head=head) | momentum
    encoder, head = torchvisions(2), nn.Sequential(nn.Linear(512, 2048), nn.ReLU(), nn.Linear(2048, 128))
    yield "solo_learn", 2, encoder, head, prefixed(encoder=encoder, projector=head, classifier=nn.Linear(512, 10))
    encoder, head = torchvisions(1), nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 128))
    other = torchvisions(1)
    other.fc = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 128))
    both = prefixed(module__encoder_q=encoder, module__encoder_q__fc=head, module__encoder_k=other)
    yield "moco", 1, encoder, head, both | {"module.queue": torch.rand(128, 64), "module.queue_ptr": torch.zeros(1).long()}


class Callback:
    """An object of a class, as they stand in Lightning's checkpoints."""


def libraries(folder):
    torch.manual_seed(5)
    for name, padding, encoder, head, state in library_models():
        size = (32, 32) if padding else (96, 96)
        randomise(encoder, head, 17, size if padding is None else (9, 7))
        extra = {"epoch": 3, "hyper_parameters": {"lr": 0.1}, "callbacks": {Callback: Callback()}}
        torch.save(extra | {"state_dict": OrderedDict(state)}, folder / f"{name}.pt")
        outputs(folder / f"{name}.npz", encoder, head, (4, *size, 3))
        with np.load(folder / f"{name}.npz") as arrays:
            np.savez(folder / f"{name}.npz", padding=np.float32(padding or 1), **arrays)


def check(folder):
    """Loads what was exported, without pickles, into torchvision's modules, and compares features and numbers."""
    for name, padding, _, head, _ in library_models():
        state = torch.load(folder / f"{name}.exported.pt", weights_only=True)
        encoder = torchvisions(padding)
        if name == "lightly_generator":
            encoder.relu = nn.Identity()  # its Sequential has no ReLU behind the stem
        encoder.load_state_dict({k: v for k, v in state.items() if not k.startswith("projection_head.")})
        layers = getattr(head, "layers", head)
        layers.load_state_dict({k.removeprefix("projection_head."): v for k, v in state.items() if k.startswith("projection_head.")})
        encoder.eval(), layers.eval()
        saved = torch.load(folder / f"{name}.pt", weights_only=False)["state_dict"]
        ours = {value.numpy().tobytes() for value in state.values()}
        theirs = {value.numpy().tobytes() for value in saved.values()}
        assert ours <= theirs, f"{name}: numbers changed"
        with np.load(folder / f"{name}.npz") as arrays, torch.no_grad():
            features = encoder.double()(torch.from_numpy(arrays["images"]).double().permute(0, 3, 1, 2))
            for part, found in ("encoder", features), ("head", layers.double()(features)):
                assert np.array_equal(found.numpy().reshape(4, -1), arrays[part].reshape(4, -1)), f"{name}, {part}"
        print(f"{name}: {len(state)} tensors, the same numbers and features")


def main():
    if sys.argv[1:2] == ["--libraries"]:
        return libraries(Path(sys.argv[2]))
    if sys.argv[1:2] == ["--check"]:
        return check(Path(sys.argv[2]))
    if sys.argv[1:2] == ["--resnet50"]:
        return resnet50(Path(__file__).parent)
    if sys.argv[1:2] == ["--full"]:
        torch.manual_seed(7)
        published(Path(sys.argv[2]), "full", torchvisions(3), (4, 32, 32, 3))
        return
    folder = Path(__file__).parent
    torch.manual_seed(3)
    published(folder, "published", Encoder(4, 3), (3, 9, 7, 3))
    plain(folder)
    resnet50(folder)
    small = {"conv1.weight": torch.rand(2, 3, 3, 3)}
    torch.save(small, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({key: value.to(memory_format=torch.channels_last) for key, value in small.items()}, folder / "channels_last.pt")


if __name__ == "__main__":
    main()
