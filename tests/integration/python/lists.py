# SPDX-License-Identifier: Apache-2.0
"""lists: a foreign reader of what the worker publishes.

  lists.py check BROKERS MILLRACE APP K     reads lists and metrics; exit 1 where a promise is broken
"""
import sys
from collections import Counter

from bus import read_all, schema_of


def check_list(message, record, k, last, faults):
    def demand(good, what):
        if not good:
            faults.append(f"{record['user']} version {record['version']}: {what}")

    entries = record["entries"]
    items = [entry["item"] for entry in entries]
    demand(message.key() == record["user"].encode(), f"key {message.key()}")
    demand(message.partition() == record["task"], f"partition {message.partition()} of task {record['task']}")
    demand(record["version"] > last.get(record["user"], 0), f"after version {last.get(record['user'])}")
    demand(1 <= len(entries) <= k, f"{len(entries)} entries")
    demand(len(set(items)) == len(items), "an item twice")
    demand(record["candidate_count"] >= len(entries), f"{record['candidate_count']} candidates")
    demand(0 <= record["explore"] <= 1, f"explore {record['explore']}")
    demand(record["policy"] and record["slice"], "no policy or slice")
    demand(sum(c["weight"] for c in record["context"]) <= 1.001, "weights of the context")
    for place, entry in enumerate(entries):
        q = entry["propensity"]
        demand(q is not None and 0 < q <= 1, f"q {q} at place {place}")
        demand(entry["source"] != "", f"no source at place {place}")
    last[record["user"]] = record["version"]


def check_items(brokers, millrace, app, faults):
    """Each item that stands in a list is published: a vector that moves, and counts that fade."""
    schema, newest = schema_of(millrace, "item"), {}
    messages = read_all(brokers, app + ".items")
    for message in messages:
        if message.value() is None:
            newest.pop(message.key(), None)
            continue
        record = schema.read(message.value())
        before = newest.get(message.key())
        good = (message.key() == record["item"].encode() and len(record["vector"]) == 64 and record["available"]
                and any(record["vector"]) and record["counts"]["popularity"] >= 0.999 * record["counts"]["popularity_15m"] > 0)
        if not good:
            faults.append(f"item {record['item']}: {record['counts']}")
        if before and not (record["sequence"] > before["sequence"] and record["time"] > before["time"]
                           and record["counts"]["popularity"] >= before["counts"]["popularity"]):
            faults.append(f"item {record['item']} went back")
        newest[message.key()] = record
    return newest, len(messages)


def check(brokers, millrace, app, k):
    lists, metrics = schema_of(millrace, "list"), schema_of(millrace, "metric")
    faults, last, slices, sources, listed = [], {}, Counter(), Counter(), set()
    messages = read_all(brokers, app + ".lists")
    for message in messages:
        record = lists.read(message.value())
        check_list(message, record, int(k), last, faults)
        slices[record["slice"]] += 1
        sources.update(entry["source"] for entry in record["entries"])
        listed.update(entry["item"] for entry in record["entries"])
    names = Counter(metrics.read(m.value())["name"] for m in read_all(brokers, app + ".metrics"))
    for name in ("records_per_second", "lag_seconds", "latency_p99_seconds", "items", "lists_published"):
        if names[name] == 0:
            faults.append(f"no metric {name}")
    if not messages:
        faults.append("no lists")
    items, published = check_items(brokers, millrace, app, faults)
    missing = listed - {key.decode() for key in items}
    if missing:
        faults.append(f"{len(missing)} items of lists were never published, such as {min(missing)}")
    print(f"lists={len(messages)} users={len(last)} items={len(items)} of {published} records slices={dict(slices)} sources={dict(sources)}")
    for fault in faults[:20]:
        print("FAULT:", fault)
    return 1 if faults else 0


if sys.argv[1:2] != ["check"] or len(sys.argv) != 6:
    sys.exit(__doc__)
sys.exit(check(*sys.argv[2:]))
