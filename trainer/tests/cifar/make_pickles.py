"""Write the small pickles beside this script, as the authors of CIFAR wrote theirs: with Python 2's cPickle.

Made with Python 2.7.18 and numpy 1.16.6: python2 make_pickles.py
Byte j of image i is (7 i + 13 j) mod 251; labels, and the labels that the tests expect, stand below.
"""
import cPickle
import os
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))


def pixels(number):
    i, j = np.arange(number)[:, None], np.arange(3072)[None, :]
    return ((7 * i + 13 * j) % 251).astype(np.uint8)


def write(name, content, protocol):
    with open(os.path.join(HERE, name), "wb") as file:
        cPickle.dump(content, file, protocol)


TEN = {
    "batch_label": "training batch 1 of 5",
    "labels": [6, 9, 0],
    "data": pixels(3),
    "filenames": ["frog_s_%06d.png" % i for i in range(3)],
}
HUNDRED = {
    "batch_label": "training batch 1 of 1",
    "fine_labels": [19, 99],
    "coarse_labels": [11, 13],
    "data": pixels(2),
    "filenames": ["cattle_s_%06d.png" % i for i in range(2)],
}
write("ten_protocol_2.pickle", TEN, 2)
write("ten_protocol_1.pickle", TEN, 1)
write("hundred_protocol_2.pickle", HUNDRED, 2)
write("ten_column_major.pickle", dict(TEN, data=np.asfortranarray(TEN["data"])), 2)
