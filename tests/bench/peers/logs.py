# SPDX-License-Identifier: Apache-2.0
"""Logs as two arrays: users and items, numbered in the order of their first appearance."""
import csv
import gzip
import random
import zlib

import numpy as np

ACTS = {"click", "cart", "purchase", "rating"}
LOGS = {"globo": ("globo/sample.csv.gz", 8), "ml-100k": ("ml-100k/events.csv.gz", 1),
        "taobao-tail": ("taobao-tail/events.csv.gz", 1)}  # path, one event in so many is evaluated


def make_up(path):
    """A small log with tastes: eight groups of items, users who mostly stay in two of them."""
    draw = random.Random(7)
    taste = [draw.sample(range(8), 2) for _ in range(400)]
    with gzip.open(path, "wt", newline="") as file:
        rows = csv.writer(file)
        rows.writerow("timestamp_ms user item type value session position propensity".split())
        for event in range(30000):
            user = int(draw.paretovariate(1.1)) % 400
            group = taste[user][draw.random() < .3] if draw.random() < .8 else draw.randrange(8)
            item = group * 100 + int(draw.paretovariate(.9)) % 100
            rows.writerow([1700000000000 + event * 1000, f"u{user}", f"i{item}", "click", "", "", "", ""])


def read(path):
    users, items, pairs = {}, {}, []
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            if row["type"] in ACTS:
                pairs.append((users.setdefault(row["user"], len(users)),
                              items.setdefault(row["item"], len(items))))
    both = np.array(pairs, np.int64)
    return both[:, 0], both[:, 1]


def negatives(items, seed, count=4):
    """`count` items for each event, drawn from those that were seen before it; drawn before any clock
    starts, and the same for every peer."""
    rng = np.random.default_rng(seed)
    seen = np.maximum.accumulate(items) + 1  # items are numbered as they appear
    return (rng.random((len(items), count)) * seen[:, None]).astype(np.int64)


def chosen(path, count, every):
    """Which events are evaluated: a hash of the log's name decides, the same for every peer."""
    rng = np.random.default_rng(zlib.crc32(str(path).rsplit("/", 2)[-2].encode()))
    return rng.random(count) < 1.0 / every
