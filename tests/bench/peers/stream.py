#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One peer over one log, in a process of its own: prints a JSON object.
usage: stream.py PEER LOG learn|evaluate EVERY [EVENTS]

The protocols are those of millrace replay. `all`: every act is a target, and every item seen so far is
ranked; an item that is new to all is a miss. `new`: only acts on items that are new to the user, whose
earlier items are taken out. Ties count by expectation over their order; the first tenth is learned from but
not scored. Each event is learned before the next is asked about."""
import json
import resource
import sys
import time

import numpy as np

import logs
from rankers import PEERS

CUT = 20
GAINS = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, CUT + 2)))])  # of the first k places


def value(above, tied):
    """Recall and nDCG at CUT of a target with so many items above it and so many of its score."""
    inside = min(max(CUT - above, 0), tied)
    return inside / tied, (GAINS[above + inside] - GAINS[above]) / tied if inside else 0.0


class Sums:
    def __init__(self):
        self.recall = self.ndcg = 0.0
        self.targets = 0

    def add(self, found):
        self.targets += 1
        self.recall += found[0]
        self.ndcg += found[1]

    def of(self):
        n = max(self.targets, 1)
        return {"recall": self.recall / n, "ndcg": self.ndcg / n, "targets": self.targets}


def evaluate(peer, user, item, seen_items, mine, every_item, new_item):
    new = item not in mine
    if item >= seen_items:  # nobody has seen it
        every_item.add((0.0, 0.0))
        new_item.add((0.0, 0.0))
        return
    scores = peer.scores(user, seen_items)
    over, same = scores > scores[item], scores == scores[item]
    above, tied = int(over.sum()), int(same.sum())
    every_item.add(value(above, tied))
    if new:
        old = np.fromiter(mine, np.int64, len(mine))
        new_item.add(value(above - int(over[old].sum()), tied - int(same[old].sum())))


def main():
    name, path, mode, every = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    users, items = logs.read(path)
    if len(sys.argv) > 5:
        users, items = users[:int(sys.argv[5])], items[:int(sys.argv[5])]
    count = len(items)
    others = logs.negatives(items, 11).tolist()
    asked = logs.chosen(path, count, every)
    asked[:count // 10] = False
    measured = mode == "evaluate"
    peer = PEERS[name](int(users.max()) + 1, int(items.max()) + 1, count, measured)
    every_item, new_item = Sums(), Sums()
    mine, seen_items = {}, 0
    users, items, asked = users.tolist(), items.tolist(), asked.tolist()
    begun = time.process_time()
    if measured:
        for t in range(count):
            user, item = users[t], items[t]
            if asked[t]:
                evaluate(peer, user, item, seen_items, mine.get(user, ()), every_item, new_item)
            peer.learn(t, user, item, others[t])
            mine.setdefault(user, set()).add(item)
            seen_items = max(seen_items, item + 1)
    else:
        for t in range(count):
            peer.learn(t, users[t], items[t], others[t])
    seconds = time.process_time() - begun
    json.dump({"says": peer.says, "events": count, "seconds": seconds, "all": every_item.of(), "new": new_item.of(),
               "memory_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}, sys.stdout)


if __name__ == "__main__":
    main()
