"""Writes two files of features of news articles (docs/features.md), for an encoder that nobody here trained.

    python3 examples/pretrained/features.py wordllama --data DIR --out DIR

pairs.npz: view 1 is the title, view 2 the description: a natural positive. Class means and f̄ are those of the law of
view 2, from which positives and negatives come: `train` holds descriptions of training articles, and there is no
`mean`, because an article has one description, so that view 2 is f̄ itself.

erase.npz: two views of "title description" from which each word is dropped with probability 0.2 (the preset
`ag-news-erase`); f̄ is the mean of ten further views, `train` has two views of each training article. Words are what
white space separates, and what stays is joined by blanks; the trainer's words are also made small and cut from their
punctuation, but a pretrained encoder has a tokenizer of its own. A text that would lose all words keeps its first.

DIR of --data is the folder that the trainer's --data takes: test.csv is evaluated, train.csv or train_subset.csv is
`train`; records are class (from 1), title, description. docs/pretrained.md says what comes out.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from encoders import ENCODERS

PLACES = ["ag_news", "ag_news_csv", "ag-news", ""]
SEED = 7
# Streams of random numbers, one for each purpose.
SAMPLE, TRAIN_SAMPLE, VIEW1, VIEW2, MEAN, TRAIN = range(6)


def stream(purpose):
    return np.random.default_rng([SEED, purpose])


def find(data, names):
    """The first of these files in one of the places."""
    for path in (data / place / name for name in names for place in PLACES):
        if path.exists():
            return path
    raise SystemExit(f"{data}: none of {', '.join(names)} in ag_news, ag_news_csv, ag-news or the folder itself")


def read(path, per_class, purpose):
    """Labels from 0, titles and descriptions; of each class `per_class` articles at random, or all, in their order."""
    with open(path, newline="", encoding="utf-8") as file:
        records = list(csv.reader(file))
    for number, record in enumerate(records, 1):
        if len(record) != 3 or not record[0].isdigit() or record[0] == "0" or not all(map(str.strip, record[1:])):
            raise SystemExit(f"{path}: record {number} is not class (from 1), title, description")
    labels = np.array([int(record[0]) - 1 for record in records])
    chosen = np.arange(len(labels))
    if per_class is not None:
        random, fewest = stream(purpose), np.bincount(labels).min()
        if per_class > fewest:
            raise SystemExit(f"{path}: {per_class} articles of each class, but one class has {fewest}")
        members = [np.flatnonzero(labels == c) for c in range(labels.max() + 1)]
        chosen = np.sort(np.concatenate([random.choice(of, per_class, replace=False) for of in members]))
    return labels[chosen], [records[i][1] for i in chosen], [records[i][2] for i in chosen]


def erase(texts, random, probability=0.2):
    """One view of each text."""
    for text in texts:
        words = text.split()
        kept = [word for word, u in zip(words, random.random(len(words))) if u >= probability]
        yield " ".join(kept or words[:1])


def pairs(encoder, test, train):
    labels, titles, descriptions = test
    train_labels, _, train_descriptions = train
    return dict(view1=encoder(titles), view2=encoder(descriptions), labels=labels,
                train=encoder(train_descriptions), train_labels=train_labels)


def erased(encoder, test, train, views=10, train_views=2):
    joined = lambda part: [f"{title} {description}" for title, description in zip(*part[1:])]
    texts, train_texts = joined(test), joined(train)
    view = lambda texts, random: encoder(erase(texts, random))
    random, train_random = stream(MEAN), stream(TRAIN)
    mean = sum(view(texts, random).astype(float) for _ in range(views)) / views
    return dict(view1=view(texts, stream(VIEW1)), view2=view(texts, stream(VIEW2)), labels=test[0], mean=mean,
                train=np.concatenate([view(train_texts, train_random) for _ in range(train_views)]),
                train_labels=np.tile(train[0], train_views))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", choices=ENCODERS)
    parser.add_argument("--data", type=Path, required=True, help="folder of AG News")
    parser.add_argument("--out", type=Path, required=True, help="folder for ENCODER-pairs.npz and ENCODER-erase.npz")
    parser.add_argument("--views", choices=["pairs", "erase"], help="one of the files alone")
    parser.add_argument("--per-class", type=int, metavar="N", help="evaluated articles of each class [default: all]")
    parser.add_argument("--train-per-class", type=int, metavar="N", help="training articles of each [default: all]")
    options = parser.parse_args()
    test = read(find(options.data, ["test.csv"]), options.per_class, SAMPLE)
    train = read(find(options.data, ["train.csv", "train_subset.csv"]), options.train_per_class, TRAIN_SAMPLE)
    encoder = ENCODERS[options.encoder]()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, make in [("pairs", pairs), ("erase", erased)]:
        if options.views in (None, name):
            path = options.out / f"{options.encoder}-{name}.npz"
            arrays = make(encoder, test, train)
            np.savez(path, **arrays)
            print(path, ", ".join(f"{key} {list(array.shape)}" for key, array in arrays.items()))


if __name__ == "__main__":
    main()
