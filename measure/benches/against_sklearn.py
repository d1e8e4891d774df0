#!/usr/bin/env python3
"""The linear probe beside scikit-learn's LogisticRegression on the same objective; prints medians and their ratio.

  cargo build --release -p measure --example linear_probe
  python3 measure/benches/against_sklearn.py features.npz                    # view1, view2, labels, train, train_labels
  python3 measure/benches/against_sklearn.py --fashion-mnist DIR             # raw pixels of the first 6,000 images
  python3 measure/benches/against_sklearn.py --made 50000 512 100            # samples, features and classes of numpy's

needs: numpy, scikit-learn. Both minimise mean cross-entropy + ridge/2 |W|^2 with free intercepts, on features less their
mean over one scale (or each over its own: --standardised), in one thread, in turn ROUNDS times. scikit-learn's lbfgs is
asked for TOLERANCE in the largest entry of the gradient. Losses and the norm of scikit-learn's gradient are computed here.
Predictions on view1 that differ are counted, and of these the ones whose two best scores differ by more than 1e-3.
"""
import argparse
import gzip
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before numpy
import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression

HERE = pathlib.Path(__file__).resolve().parent


def fashion_mnist(folder):
    read = lambda name, skip: np.frombuffer(gzip.open(pathlib.Path(folder) / name).read()[skip:], np.uint8)
    images = lambda name: read(name, 16).reshape(-1, 784).astype(np.float64) / 255
    train, test = images("train-images-idx3-ubyte.gz")[:6000], images("t10k-images-idx3-ubyte.gz")
    return {"train": train, "train_labels": read("train-labels-idx1-ubyte.gz", 8)[:6000].astype(np.int64),
            "view1": test, "view2": test, "labels": read("t10k-labels-idx1-ubyte.gz", 8).astype(np.int64)}


def made(samples, features, classes):
    rng = np.random.default_rng(1)
    scale, centres = np.exp(-np.arange(features) / (features / 6)), rng.normal(size=(classes, features))
    def draw(count):
        y = np.concatenate([np.arange(classes), rng.integers(0, classes, count - classes)])
        return (0.7 * centres[y] + rng.normal(size=(count, features))) * scale, y
    (x, y), (z, w) = draw(samples), draw(5000)
    return {"train": x, "train_labels": y, "view1": z, "view2": z, "labels": w}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", nargs="?")
    parser.add_argument("--fashion-mnist", metavar="DIR")
    parser.add_argument("--made", nargs=3, type=int, metavar=("M", "D", "C"))
    parser.add_argument("--ridge", type=float, default=1e-4)
    parser.add_argument("--standardised", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tolerance", type=float, default=1e-8)
    parser.add_argument("--example", default=HERE.parents[1] / "target" / "release" / "examples" / "linear_probe")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, predicted = pathlib.Path(folder) / "features.npz", pathlib.Path(folder) / "predicted.txt"
        if args.fashion_mnist:
            np.savez(path, **fashion_mnist(args.fashion_mnist))
        elif args.made:
            np.savez(path, **made(*args.made))
        else:
            path = pathlib.Path(args.features)
        data = np.load(path)
        unit = lambda m: m.astype(np.float64) / np.linalg.norm(m.astype(np.float64), axis=1, keepdims=True)
        x, z, y = unit(data["train"]), unit(data["view1"]), data["train_labels"]
        mean, deviation = x.mean(0), x.std(0)
        if args.standardised:
            scale = np.where(deviation > 1e-12 * np.abs(mean), deviation, 1.0)
        else:
            scale = np.sqrt(np.mean(deviation ** 2))
        x, z = (x - mean) / scale, (z - mean) / scale
        seconds, theirs, command = [], [], [args.example, path, predicted, repr(args.ridge)] + ["standardised"] * args.standardised
        for _ in range(args.rounds):
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
            ours = json.loads(done.stdout)
            seconds.append(ours["seconds"])
            model = LogisticRegression(C=1 / (args.ridge * len(x)), tol=args.tolerance, max_iter=1_000_000)
            start = time.perf_counter()
            model.fit(x, y)
            theirs.append(time.perf_counter() - start)
        scores, w = x @ model.coef_.T + model.intercept_, model.coef_
        top = scores.max(1, keepdims=True)
        total = np.exp(scores - top).sum(1, keepdims=True)
        target = np.eye(len(w))[y]
        loss = float(np.mean(np.log(total) + top - np.sum(scores * target, 1, keepdims=True)) + args.ridge / 2 * np.sum(w ** 2))
        residual = (np.exp(scores - top) / total - target) / len(x)
        gradient = float(np.sqrt(np.sum((residual.T @ x + args.ridge * w) ** 2) + np.sum(residual.sum(0) ** 2)))
        scores = z @ w.T + model.intercept_
        found = scores.argmax(1)
        other = np.array([int(line) for line in predicted.read_text().split()])
        best = np.sort(scores, 1)[:, -2:]
        differ = found != other
        decided = int(np.sum(differ & (best[:, 1] - best[:, 0] > 1e-3)))
    medians = statistics.median(seconds), statistics.median(theirs)
    print(f"{len(x)} samples, {x.shape[1]} features, {len(w)} classes, ridge {args.ridge:g}"
          + ", standardised" * args.standardised + f"; medians of {args.rounds} rounds, one thread; scikit-learn {sklearn.__version__}")
    print(f"this probe    loss {ours['loss']:.10f}  gradient {ours['gradient']:.1e}  passes {ours['passes']:6}  {medians[0]:8.2f} s  accuracy {ours['accuracy']:.4f}")
    print(f"scikit-learn  loss {loss:.10f}  gradient {gradient:.1e}  steps  {int(np.max(model.n_iter_)):6}  {medians[1]:8.2f} s  accuracy {np.mean(found == data['labels']):.4f}")
    print(f"loss of this probe less theirs {ours['loss'] - loss:+.1e}; time {medians[0] / medians[1]:.2f} of theirs; "
          f"{int(differ.sum())} of {len(z)} predictions differ, {decided} of them by scores more than 1e-3 apart")
    return int(abs(ours["loss"] - loss) > 1e-4 or decided > 0)


if __name__ == "__main__":
    sys.exit(main())
