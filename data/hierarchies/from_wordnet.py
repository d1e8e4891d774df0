"""Writes cifar10.csv, fashion-mnist.csv and cifar100.csv beside itself: `python3 from_wordnet.py /usr/share/wordnet`.

The two first are the hypernym chains of the synsets below in WordNet 3.0's data.noun. A synset with several hypernyms keeps
the one with the longest chain above it (the first of those in the file on a tie), so that the nodes form a tree:
wheeled_vehicle.n.01 is then a vehicle and no container, dog.n.01 a canine and no domestic animal. cifar100.csv holds the 20
superclasses that the page of the data set lists.
"""

import csv
import functools
import pathlib
import sys

SYNSETS = {
    "cifar10": "airplane.n.01 car.n.01 bird.n.01 cat.n.01 deer.n.01 dog.n.01 frog.n.01 horse.n.01 ship.n.01 truck.n.01",
    "fashion-mnist": "jersey.n.03 trouser.n.01 pullover.n.01 dress.n.01 coat.n.01 sandal.n.01 shirt.n.01 gym_shoe.n.01 bag.n.04 boot.n.01",
}

# https://www.cs.toronto.edu/~kriz/cifar.html; within the files classes and superclasses are numbered in alphabetical order.
CIFAR100 = {
    "aquatic mammals": "beaver, dolphin, otter, seal, whale",
    "fish": "aquarium_fish, flatfish, ray, shark, trout",
    "flowers": "orchid, poppy, rose, sunflower, tulip",
    "food containers": "bottle, bowl, can, cup, plate",
    "fruit and vegetables": "apple, mushroom, orange, pear, sweet_pepper",
    "household electrical devices": "clock, keyboard, lamp, telephone, television",
    "household furniture": "bed, chair, couch, table, wardrobe",
    "insects": "bee, beetle, butterfly, caterpillar, cockroach",
    "large carnivores": "bear, leopard, lion, tiger, wolf",
    "large man-made outdoor things": "bridge, castle, house, road, skyscraper",
    "large natural outdoor scenes": "cloud, forest, mountain, plain, sea",
    "large omnivores and herbivores": "camel, cattle, chimpanzee, elephant, kangaroo",
    "medium-sized mammals": "fox, porcupine, possum, raccoon, skunk",
    "non-insect invertebrates": "crab, lobster, snail, spider, worm",
    "people": "baby, boy, girl, man, woman",
    "reptiles": "crocodile, dinosaur, lizard, snake, turtle",
    "small mammals": "hamster, mouse, rabbit, shrew, squirrel",
    "trees": "maple_tree, oak_tree, palm_tree, pine_tree, willow_tree",
    "vehicles 1": "bicycle, bus, motorcycle, pickup_truck, train",
    "vehicles 2": "lawn_mower, rocket, streetcar, tank, tractor",
}

wordnet = pathlib.Path(sys.argv[1])
data = (wordnet / "data.noun").read_bytes()
index = {}
for line in (wordnet / "index.noun").read_text().splitlines():
    if not line.startswith(" "):
        fields = line.split()
        index[fields[0]] = [int(offset) for offset in fields[-int(fields[2]):]]


def fields(offset):
    return data[offset : data.index(b"\n", offset)].decode().split(" | ")[0].split()


def name(offset):
    lemma = fields(offset)[4].lower()
    return f"{lemma}.n.{index[lemma].index(offset) + 1:02}"


@functools.cache
def chain(offset):
    """The synset and its hypernyms up to the root."""
    line = fields(offset)
    pointers = line[5 + 2 * int(line[3], 16) :]
    chains = [chain(int(pointers[i + 1])) for i in range(0, len(pointers), 4) if pointers[i] in ("@", "@i")]
    return [offset] + max(chains, key=len, default=[])


def write(dataset, rows):
    path = pathlib.Path(__file__).with_name(f"{dataset}.csv")
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("node", "parent", "class"), *rows])


for dataset, synsets in SYNSETS.items():
    rows = {}
    for label, synset in enumerate(synsets.split()):
        lemma, sense = synset.split(".n.")
        nodes = [name(offset) for offset in chain(index[lemma][int(sense) - 1])]
        print(dataset, label, " > ".join(nodes))
        for node, parent in zip(nodes, nodes[1:] + [""]):
            rows.setdefault(node, [node, parent, ""])
        rows[nodes[0]][2] = label
    write(dataset, rows.values())

classes = sorted(c for members in CIFAR100.values() for c in members.split(", "))
rows = [("thing", "", "")] + [(superclass, "thing", "") for superclass in CIFAR100]
for superclass, members in CIFAR100.items():
    rows += [(c, superclass, classes.index(c)) for c in members.split(", ")]
write("cifar100", rows)
