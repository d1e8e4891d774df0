#!/usr/bin/env python3
"""`trainer bench` beside PyTorch, in turn on the same machine and threads; prints medians and ratios.

  cargo build --release
  python3 trainer/benches/against_torch.py                      # CPU, two threads
  python3 trainer/benches/against_torch.py --device cuda --dtype bf16

The Python that runs this needs the packages of `peers/requirements.txt`. Each line of the table is the median of ROUNDS
runs of either program, one after the other, so that a busy minute meets both. `--save FILE` appends every run as a JSON
line with date and hardware.
"""
import argparse
import datetime
import json
import pathlib
import platform
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
# Network, side of the images, images per step, steps per round.
CPU = [("mlp", 32, 128, 30), ("small", 32, 128, 10), ("resnet18", 32, 64, 2), ("resnet50", 96, 16, 2), ("resnet50", 224, 8, 1)]
GPU = [
    ("mlp", 32, 256, 100),
    ("small", 32, 256, 100),
    ("resnet18", 32, 64, 50),
    ("resnet18", 32, 256, 30),
    ("resnet18", 32, 1024, 15),
    ("resnet50", 96, 128, 20),
    ("resnet50", 224, 64, 10),
]


def hardware():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        flags = next(line for line in lines if line.startswith("flags")).split()
        vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
        return f"{name}, {vectors}"
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def run(command):
    """The report of a program; none where it fails, which is said."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        print(f"{' '.join(map(str, command))}\n{done.stderr.strip()}", file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainer", default=HERE.parents[1] / "target" / "release" / "trainer")
    parser.add_argument("--net", action="append", choices=["mlp", "small", "resnet18", "resnet50"], help="only this one; may be repeated")
    parser.add_argument("--side", type=int, help="only images of this side")
    parser.add_argument("--batch", type=int, help="images per step instead of the usual ones")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="f32")
    parser.add_argument("--compile", action="store_true", help="also time torch.compile")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", type=pathlib.Path, help="append every run to this file of JSON lines")
    args = parser.parse_args()
    if args.batch is not None and (args.batch < 2 or args.batch % 2):
        parser.error(f"--batch {args.batch}: both views count, so it is even and at least 2")
    on_gpu = args.device.startswith("cuda")
    failed = False
    head = f"{'net':9} {'side':>4} {'batch':>5}  {'program':24} {'images/s':>10} {'per CPU-s':>10} {'forward':>8} {'backward':>8} {'update':>7} {'memory':>8}"
    print(f"{hardware()}; {args.threads} threads, {args.device}, {args.dtype}; {args.rounds} rounds; ms, MB\n{head}")
    for net, side, batch, steps in GPU if on_gpu else CPU:
        if args.net and net not in args.net or args.side and side != args.side:
            continue
        batch = args.batch or batch
        common = ["--net", net, "--batch", batch, "--steps", steps, "--threads", args.threads]
        common += ["--device", args.device, "--dtype", args.dtype]
        torch = [sys.executable, HERE / "peers" / "torch_step.py", "--side", side, *common]
        variants = {"ours": [args.trainer, "bench", "--format", "json", "--image", f"{side}x{side}x3", *common], "torch": torch + (["--channels-last"] if on_gpu else [])}
        if not on_gpu:
            variants["torch channels-last"] = torch + ["--channels-last"]
        if args.compile:
            variants["torch compiled"] = torch + ["--channels-last", "--compile"]
        runs = {name: [] for name in variants}
        for _ in range(args.rounds):
            for name, command in variants.items():
                report = run(command)
                if report is None:
                    failed = True
                    continue
                runs[name].append(report)
                if args.save:  # at once: what comes later may fail, or be stopped
                    record = {"date": datetime.date.today().isoformat(), "hardware": hardware(), "variant": name, **report}
                    with args.save.open("a") as file:
                        file.write(json.dumps(record) + "\n")
        middle = {
            name: {key: statistics.median(r[key] for r in reports) for key in KEYS} for name, reports in runs.items() if reports
        }
        for name, values in middle.items():
            speed = values["images_per_s"]
            print(
                f"{net:9} {side:4} {batch:5}  {name:24} {speed:10.1f} {values['images_per_cpu_s']:10.1f} {values['forward_ms']:8.1f}"
                f" {values['backward_ms']:8.1f} {values['optimiser_ms']:7.2f} {values['peak_memory_bytes'] / 1e6:8.0f}"
            )
        for name, values in middle.items():
            if name != "ours" and "ours" in middle:
                ours = middle["ours"]
                print(
                    f"{'':21} ours / {name}: {ours['images_per_s'] / values['images_per_s']:.2f} in images/s,"
                    f" {ours['images_per_cpu_s'] / values['images_per_cpu_s']:.2f} per CPU-second,"
                    f" {ours['peak_memory_bytes'] / values['peak_memory_bytes']:.2f} of the memory"
                )
    sys.exit(failed)


KEYS = ["images_per_s", "images_per_cpu_s", "forward_ms", "backward_ms", "optimiser_ms", "peak_memory_bytes"]

if __name__ == "__main__":
    main()
