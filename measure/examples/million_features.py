"""What `measure` finds of the features that `million_features.rs` makes, in numpy: python million_features.py DIR n t.

Arrays are memory-mapped and converted by block, everything is f64. Fewer columns than `measure` has: no exact
probabilities, no conditional columns, no errors over images, no bounds, no difficulty of pairs.
"""

import sys
import time

import numpy as np

BLOCK = 16384
PAIRED = 30000


def blocks(count, size=BLOCK):
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def unit(rows):
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def log_sum_exp(x):
    top = x.max(axis=1, keepdims=True)
    return top[:, 0] + np.log(np.exp(x - top).sum(axis=1))


def class_means(views, labels, classes):
    counts = np.bincount(labels, minlength=classes)
    means = np.zeros((classes, views[0].shape[1]))
    for view in views:
        for at in blocks(len(labels)):
            np.add.at(means, labels[at], unit(view[at]))
    return means / (len(views) * counts[:, None])


def whole_set(view, labels, means, t):
    """Mean accuracy and L_sup over all classes."""
    right, loss = 0, 0.0
    for at in blocks(len(labels)):
        scores = unit(view[at]) @ means.T
        right += (scores.argmax(axis=1) == labels[at]).sum()
        loss += (log_sum_exp(scores / t) - scores[np.arange(len(scores)), labels[at]] / t).sum()
    return right / len(labels), loss / len(labels)


def batches(views, labels, means, n, t, rng):
    """Means over the batches of one pass."""
    sums, count, order = {}, 0, rng.permutation(len(labels))
    for start in range(0, len(order) - n + 1, n):
        rows = order[start : start + n]
        z, zp = (unit(view[rows]) for view in views)
        own, c = np.arange(n), labels[rows]
        cross, same = z @ zp.T / t, c[:, None] == c[None, :]
        info = log_sum_exp(cross) - cross[own, own]
        two = 0.0
        for logits, inner in ((cross, z @ z.T / t), (cross.T, zp @ zp.T / t)):
            inner[own, own] = -np.inf
            two = two + 0.5 * (log_sum_exp(np.hstack([logits, inner])) - logits[own, own])
        collisions = same.sum(axis=1) - 1
        gap = ((z * (means[c] - zp)).sum(axis=1) / t).clip(max=0)
        shown = np.unique(c)
        class_logits = z @ means[shown].T / t
        joint = log_sum_exp(class_logits) - (z * means[c]).sum(axis=1) / t
        spread = np.where(same, np.abs(cross - cross[own, own][:, None]), 0).max(axis=1)
        found = {
            "info_nce": info, "nt_xent": two, "collision": collisions > 0, "log1p_collisions": np.log1p(collisions),
            "gap": gap, "joint_sub_loss": joint, "curl_joint": (collisions == 0) * joint,
            "collision_upper": np.log1p(collisions) + spread,
        }
        for name, values in found.items():
            sums[name] = sums.get(name, 0.0) + values.mean()
        count += 1
    return {name: value / count for name, value in sums.items()}


def pairs(views, labels, classes, rng):
    """Alignment, uniformity, effective rank of a part of the samples, and the spread within classes."""
    rows = np.sort(rng.permutation(len(labels))[:PAIRED])
    z, zp = (unit(view[rows]) for view in views)
    uniform = 0.0
    for at in blocks(len(rows), 2048):
        squares = (2 - 2 * (z[at] @ z.T)).clip(min=0)
        uniform += np.exp(-2 * squares).sum()
    uniform = np.log((uniform - len(rows)) / (len(rows) * (len(rows) - 1.0)))
    p = np.linalg.eigvalsh(np.cov(z.T))
    p = p[p > 0] / p.sum()
    most, spreads = int(PAIRED / classes**0.5), []
    for c in range(classes):
        own = np.flatnonzero(labels == c)
        own = np.sort(rng.permutation(own)[:most])
        s = unit(views[0][own]) @ unit(views[1][own]).T
        spreads.append(np.abs(s - np.diag(s)[None, :]).sum(axis=0) / (len(own) - 1))
    return {
        "alignment": ((z - zp) ** 2).sum(axis=1).mean(), "uniformity": uniform,
        "effective_rank": np.exp(-(p * np.log(p)).sum()), "collision_spread": np.concatenate(spreads).mean(),
    }


def main(folder, n, t):
    started = time.time()
    views = [np.load(f"{folder}/{name}.npy", mmap_mode="r") for name in ("view1", "view2")]
    labels, rng = np.load(f"{folder}/labels.npy"), np.random.default_rng(7)
    classes = int(labels.max()) + 1
    means = class_means(views, labels, classes)
    found = dict(zip(("mean_accuracy", "full_sup_loss"), whole_set(views[0], labels, means, t)))
    found |= batches(views, labels, means, n, t, rng) | pairs(views, labels, classes, rng)
    for name, value in found.items():
        print(f"{name:20} {value:.6f}")
    print(f"{time.time() - started:.0f} s")


main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
