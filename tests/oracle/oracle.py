#!/usr/bin/env python3
"""The measured columns of losses.csv from their definitions, in numpy: the oracle of `measure`.

usage: oracle.py            writes features.npz (once; kept if it exists) and expected.json beside this script
       oracle.py --check    recomputes and compares with the committed expected.json, to 1e-12
needs: numpy. Every quantity is written as a sum over samples, without any of the program's shortcuts.
"""
import itertools, json, math, pathlib, sys
from fractions import Fraction
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
T = 0.5
COUNTS = [14, 12, 8, 6]


def make_features():
    rng = np.random.default_rng(20210611)
    centres = rng.normal(size=(4, 6))
    labels = np.repeat(np.arange(4), COUNTS)
    rng.shuffle(labels)
    sample = lambda y, spread: (centres[y] + spread * rng.normal(size=(len(y), 6))).astype(np.float32)
    base = sample(labels, 0.9)
    views = [(base + 0.5 * rng.normal(size=base.shape)).astype(np.float32) for _ in range(6)]
    train_labels = np.tile(np.arange(4), 15)
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in views[2:]]
    np.savez(HERE / "features.npz", view1=views[0], view2=views[1], labels=labels.astype(np.int64),
             train=sample(train_labels, 1.2), train_labels=train_labels.astype(np.int64),
             mean=np.mean(unit, axis=0).astype(np.float32))


def load():
    data = {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in np.load(HERE / "features.npz").items()}
    for name in ("view1", "view2", "train"):
        data[name] = data[name] / np.linalg.norm(data[name], axis=1, keepdims=True)
    return data


def batches_of(n, count):
    """`count` batches of n distinct samples: their law does not matter here, the program gets the same ones."""
    rng = np.random.default_rng(n)
    return [rng.permutation(sum(COUNTS))[:n].tolist() for _ in range(count)]


def cross_entropy(z, c, mu, classes):
    """-ln [ e^{z.mu_c/t} / sum_{j in classes} e^{z.mu_j/t} ]"""
    return -z @ mu[c] / T + math.log(sum(math.exp(z @ mu[j] / T) for j in classes))


def measure_batch(data, mu, batch):
    z, zp, y, fbar = data["view1"][batch], data["view2"][batch], data["labels"][batch], data["mean"][batch]
    n, shown = len(batch), sorted(set(y.tolist()))
    cover = float(len(shown) == 4)
    s = lambda a, b: a @ b / T
    rows = []
    for i in range(n):
        others = [k for k in range(n) if k != i]
        same = [k for k in others if y[k] == y[i]]
        info = -s(z[i], zp[i]) + math.log(sum(math.exp(s(z[i], zp[k])) for k in range(n)))
        two = 0.0
        for own, other in ((z, zp), (zp, z)):
            denominator = sum(math.exp(s(own[i], own[k])) for k in others) + sum(math.exp(s(own[i], other[k])) for k in range(n))
            two += 0.5 * (-s(own[i], other[i]) + math.log(denominator))
        sub = cross_entropy(z[i], y[i], mu, shown)
        repelled = sum(math.exp(s(z[i], mu[y[k]] - mu[y[i]])) for k in others if y[k] != y[i])
        alone = float(not same)
        mass = [math.exp(s(z[i], mu[j])) for j in range(4)]
        exps = {k: math.exp(s(z[i], zp[k])) for k in others}
        m = COUNTS[y[i]]
        means = {k: mu[y[k]] if k not in same else (m * mu[y[i]] - fbar[i]) / (m - 1) for k in others}
        other_mass = sum(exps[k] for k in others if k not in same)
        rows.append({
            "logit_variance": float(np.var(mass)) / float(np.mean(mass)) ** 2,
            "anchor_error": float(any(z[i] @ mu[j] >= z[i] @ mu[y[i]] for j in range(4) if j != y[i])),
            "mean_margin": sum(COUNTS[j] * float(z[i] @ (mu[y[i]] - mu[j])) for j in range(4) if j != y[i]) / (sum(COUNTS) - COUNTS[y[i]]),
            "supervised_odds": sum(math.exp(s(z[i], mu[j] - mu[y[i]])) for j in range(4) if j != y[i]),
            "within_class_variance": float(np.sum((z[i] - mu[y[i]]) ** 2)),
            "within_class_deviation": float(np.linalg.norm(z[i] - mu[y[i]])),
            "pair_loss": float(np.mean([cross_entropy(z[i], y[i], mu, (y[i], j)) for j in range(4) if j != y[i]])),
            "nscl_gap": math.log(1 + sum(exps[k] for k in same) / other_mass) if other_mass else math.inf,
            "info_nce": info, "nt_xent": two, "coverage": cover, "collision": 1 - alone,
            "log1p_collisions": math.log(1 + len(same)), "full_sup_loss": cross_entropy(z[i], y[i], mu, range(4)),
            "joint_sup_loss": cover * sub, "joint_sub_loss": (1 - cover) * sub,
            "curl_joint_sup": alone * cover * sub, "curl_joint": alone * sub,
            "gap": min(0.0, s(z[i], mu[y[i]] - fbar[i])), "master_term": math.log(1 + len(same) + repelled),
            "info_nce_mean_positive": math.log(1 + sum(math.exp(s(z[i], zp[k] - fbar[i])) for k in others)),
            "info_nce_mean_negatives": math.log(1 + sum(math.exp(s(z[i], means[k] - fbar[i])) for k in others)),
            "collision_upper": math.log(1 + len(same)) + max([abs(s(z[i], zp[k]) - s(z[i], zp[i])) for k in same], default=0.0),
        })
    mean = {k: float(np.mean([r[k] for r in rows])) for k in rows[0]}
    mean["first_anchor_collision"] = rows[0]["collision"]
    m = mean
    mean["info_nce_minus_master"] = m["info_nce"] - m["master_term"] - m["gap"]
    mean["info_nce_minus_curl"] = m["info_nce"] - m["curl_joint"] - m["log1p_collisions"] - m["gap"]
    mean["info_nce_minus_nozawa_sato"] = m["info_nce"] - 0.5 * (m["joint_sup_loss"] + m["joint_sub_loss"] + m["log1p_collisions"]) - m["gap"]
    return mean


def exact(n):
    """Coverage, collision and E ln(1+Col) of n draws without replacement, by counting subsets with rationals."""
    total, k = sum(COUNTS), n - 1
    ways = {0: 1}
    for m in COUNTS:
        new = {}
        for size, w in ways.items():
            for own in range(1, m + 1):
                new[size + own] = new.get(size + own, 0) + w * math.comb(m, own)
        ways = new
    coverage = Fraction(ways.get(n, 0), math.comb(total, n))
    law = lambda m, j: Fraction(math.comb(m - 1, j) * math.comb(total - m, k - j), math.comb(total - 1, k))
    collision = 1 - sum(Fraction(m, total) * law(m, 0) for m in COUNTS)
    cost = sum(float(Fraction(m, total) * law(m, j)) * math.log(1 + j) for m in COUNTS for j in range(1, min(m - 1, k) + 1))
    return {"coverage_exact": float(coverage), "collision_exact": float(collision), "log1p_collisions_exact": cost}


def given_anchor(data, mu, n):
    """Columns whose expectation over batches, given the anchor, is exact: every way to draw the other n-1 samples, by class.

    Mean over all samples, and the standard error of one pass: that of the samples' differences.
    """
    rows = []
    for i, y in enumerate(data["labels"]):
        urn = [m - (c == y) for c, m in enumerate(COUNTS)]
        z = data["view1"][i]
        w = [math.exp(z @ (mu[c] - mu[y]) / T) for c in range(4)]
        row = dict.fromkeys(("joint_sup_loss", "joint_sub_loss", "curl_joint_sup", "curl_joint", "master_term"), 0.0)
        for m in itertools.product(*(range(min(c, n - 1) + 1) for c in urn)):
            if sum(m) != n - 1:
                continue
            p = math.prod(map(math.comb, urn, m)) / math.comb(sum(urn), n - 1)
            shown = math.log(1 + sum(w[c] for c in range(4) if c != y and m[c]))
            cover, alone = all(m[c] or c == y for c in range(4)), m[y] == 0
            row["joint_sup_loss"] += p * cover * shown
            row["joint_sub_loss"] += p * (not cover) * shown
            row["curl_joint_sup"] += p * (cover and alone) * shown
            row["curl_joint"] += p * alone * shown
            row["master_term"] += p * math.log(1 + sum(w[c] * m[c] for c in range(4)))
        row["full_sup_loss"] = cross_entropy(z, y, mu, range(4))
        rows.append(row)
    of = lambda k: np.array([r[k] for r in rows])
    return {f"{k}_rao_blackwell": [float(of(k).mean()), float(of(k).std(ddof=1) / math.sqrt(len(rows)))] for k in rows[0]}


def geometry(data):
    """Wang & Isola's alignment and uniformity, Roy & Vetterli's effective rank, and RankMe of Garrido et al."""
    x, y = data["view1"], data["view2"]
    uniformity = lambda x: math.log(np.mean([math.exp(-2 * float(np.sum((x[i] - x[j]) ** 2))) for i in range(len(x)) for j in range(i)]))
    singular = np.linalg.svd(x, compute_uv=False)
    shift = singular / singular.sum() + 1e-7
    share = np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2
    share = share / share.sum()
    return {"alignment": float(np.mean(np.sum((x - y) ** 2, 1))), "uniformity": uniformity(x),
            "uniformity_both_views": (uniformity(x) + uniformity(y)) / 2, "rankme": math.exp(-float(np.sum(shift * np.log(shift)))),
            "effective_rank": math.exp(-sum(p * math.log(p) for p in share))}


def spreads(data, c):
    """beta_hat_j of one class."""
    members = np.flatnonzero(data["labels"] == c)
    s = data["view1"][members] @ data["view2"][members].T
    return [sum(abs(s[i, j] - s[j, j]) for i in range(len(members))) / (len(members) - 1) for j in range(len(members))]


def spread(data):
    terms = []
    for c in range(4):
        members = np.flatnonzero(data["labels"] == c)
        for j in members:
            own = data["view1"][j] @ data["view2"][j]
            terms.append(sum(abs(data["view1"][i] @ data["view2"][j] - own) for i in members) / (len(members) - 1))
    return float(np.mean(terms))


def moments(data, mu):
    """Nearest class mean, and Cantelli's and Chebyshev's bounds of the two classifiers' errors."""
    x, y = data["view1"], data["labels"]
    nearest = np.array([[float(np.sum((a - m) ** 2)) for m in mu] for a in x]).argmin(1)
    cantelli = directional = 0.0
    for i in range(4):
        own, c, d = x[y == i], 0.0, 0.0
        for j in range(4):
            if j != i:
                margin, length = own @ (mu[i] - mu[j]), float(np.linalg.norm(mu[i] - mu[j]))
                a, w = float(margin.mean()), float(margin.var())
                c += w / (w + a * a) if a > 0 else 1.0
                d += 4 * float(np.mean(((own - mu[i]) @ (mu[i] - mu[j])) ** 2)) / length ** 4
        cantelli += COUNTS[i] / sum(COUNTS) * min(1.0, c)
        directional += COUNTS[i] / sum(COUNTS) * min(1.0, d)
    return {"nearest_mean_accuracy": float(np.mean(nearest == y)), "cantelli_error": cantelli, "directional_error": directional}


def knn(data, neighbours=20, temperature=0.1):
    """Votes e^{s/t} of the most similar training samples: the formula of lightly's knn_predict."""
    right = 0
    for z, y in zip(data["view1"], data["labels"]):
        s = data["train"] @ z
        votes = np.zeros(4)
        for j in np.argsort(-s, kind="stable")[:neighbours]:
            votes[data["train_labels"][j]] += math.exp(s[j] / temperature)
        right += votes.argmax() == y
    return right / len(data["labels"])


def logistic(x, y, ridge):
    """Multinomial logistic regression, its intercept free, by Newton's method with the whole Hessian: W, b and the loss."""
    a, target = np.hstack([x, np.ones((len(x), 1))]), np.eye(4)[y]
    free = np.append(np.ones(x.shape[1]), 0.0)
    def at(w):
        z = a @ w.T
        top = z.max(1, keepdims=True)
        total = np.exp(z - top).sum(1, keepdims=True)
        loss = float(np.mean(np.log(total) + top - np.sum(z * target, 1, keepdims=True)) + ridge / 2 * np.sum((w * free) ** 2))
        p = np.exp(z - top) / total
        return loss, p, (p - target).T @ a / len(a) + ridge * w * free
    w = np.zeros((4, a.shape[1]))
    for _ in range(200):
        loss, p, gradient = at(w)
        if np.abs(gradient).max() < 1e-13:
            return w, loss
        hessian = sum(np.kron(np.diag(q) - np.outer(q, q), np.outer(v, v)) for q, v in zip(p, a)) / len(a)
        step = np.linalg.lstsq(hessian + np.diag(np.tile(ridge * free, 4)), gradient.ravel(), rcond=1e-13)[0].reshape(w.shape)
        size = 1.0
        while at(w - size * step)[0] > loss + 1e-15 and size > 1e-6:
            size /= 2
        w = w - size * step
    raise RuntimeError(f"no optimum at ridge {ridge}")


def scaler(x, each):
    mean, deviation = x.mean(0), np.sqrt(((x - x.mean(0)) ** 2).mean(0))
    return lambda m: (m - mean) / (deviation if each else math.sqrt(np.mean(deviation ** 2)))


def linear(data, ridge, each):
    """The linear probe: accuracy, loss and ridge; ridge None: the best of the grid on every fifth row of a class."""
    x, y = data["train"], data["train_labels"]
    right = lambda w, z, labels: float(np.mean((z @ w[:, :-1].T + w[:, -1]).argmax(1) == labels))
    if ridge is None:
        held = np.array([np.sum(y[:i + 1] == c) % 5 == 0 for i, c in enumerate(y)])
        scale = scaler(x[~held], each)
        score = lambda r: right(logistic(scale(x[~held]), y[~held], r)[0], scale(x[held]), y[held])
        ridge = max((10.0 ** -k for k in range(7)), key=lambda r: (score(r), r))
    scale = scaler(x, each)
    w, loss = logistic(scale(x), y, ridge)
    return {"ridge": ridge, "accuracy": right(w, scale(data["view1"]), data["labels"]), "loss": loss}


def compute():
    data = load()
    mu = np.array([data["train"][data["train_labels"] == c].mean(0) for c in range(4)])
    result = {"temperature": T, "cases": []}
    for n, count in ((5, 40), (12, 30)):
        batches = batches_of(n, count)
        means = [measure_batch(data, mu, b) for b in batches]
        if not all(math.isfinite(m["nscl_gap"]) for m in means):  # an anchor that met its own class alone
            means = [{k: v for k, v in m.items() if k != "nscl_gap"} for m in means]
        columns = {k: [float(np.mean([m[k] for m in means])), float(np.std([m[k] for m in means], ddof=1) / math.sqrt(count))] for k in means[0]}
        columns |= given_anchor(data, mu, n)
        seen = list(itertools.chain.from_iterable(batches))
        per_class = [float(np.mean([cross_entropy(data["view1"][i], c, mu, range(4)) for i in seen if data["labels"][i] == c])) for c in range(4)]
        result["cases"].append({"num_draws": n, "batches": batches, "columns": columns, "class_sup_loss": per_class, "exact": exact(n)})
    result["mean_accuracy"] = float(np.mean((data["view1"] @ mu.T).argmax(1) == data["labels"]))
    result["mean_accuracy_two_views"] = float(np.mean((0.5 * (data["view1"] + data["view2"]) @ mu.T).argmax(1) == data["labels"]))
    result["knn_accuracy"], result["collision_spread"] = knn(data), spread(data)
    result["knn"] = [[k, t, knn(data, k, t)] for k, t in ((1, 0.07), (5, 0.02), (20, 0.07), (40, 0.1), (200, 0.1), (200, 0.5))]
    result["linear"] = [{"standardise": each, "chosen": ridge is None} | linear(data, ridge, each)
                        for ridge in (1e-4, 1e-6, 0.1, None) for each in (False, True)]
    result["linear_accuracy"] = result["linear"][0]["accuracy"]
    result["geometry"], result["moments"] = geometry(data), moments(data, mu)
    result["spread_by_class"] = [[float(np.mean(b)), *map(float, np.quantile(b, [0.05, 0.25, 0.5, 0.75, 0.95]))] for b in (spreads(data, c) for c in range(4))]
    return result


def difference(a, b):
    if isinstance(a, dict):
        return max((difference(a[k], b[k]) for k in a.keys() | b.keys()), default=0.0)
    if isinstance(a, list):
        return max((difference(x, y) for x, y in zip(a, b, strict=True)), default=0.0)
    return abs(a - b)


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        found = difference(compute(), json.loads((HERE / "expected.json").read_text()))
        print(f"largest difference from expected.json: {found:.1e}")
        sys.exit(int(not found <= 1e-12))  # a numpy bool would be printed and count as failure
    if not (HERE / "features.npz").exists():
        make_features()
    (HERE / "expected.json").write_text(json.dumps(compute(), indent=1) + "\n")
