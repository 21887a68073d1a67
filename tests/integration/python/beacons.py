# SPDX-License-Identifier: Apache-2.0
"""beacons: one log as a CSV file, and as JSON that nobody wrote for millrace.

  beacons.py BROKERS FILE TOPIC PARTITIONS EVENTS

A record is what a page sends: who, under an id, and an array of one to six things that happened, of
which some are none of ours; every seventh record is a test. Every third has a registry's prefix.
Prints how many records and how many events there are.
"""
import json
import random
import sys
import time

from bus import make_topics, producer

brokers, path, topic, partitions, count = sys.argv[1:]
chance, records, events = random.Random(5), 0, 0
make_topics(brokers, {topic: int(partitions)})
bus, first = producer(brokers), int(time.time() * 1000) - 3600000
kinds = {"Product Viewed": "click", "Product Saved": "cart", "Page Left": None}
with open(path, "w") as file:
    print("timestamp_ms,user,item,type,event_id", file=file)
    while events < int(count):
        user, ms = f"user-{chance.randrange(400)}", first + events * 37
        test, acts = records % 7 == 3, []
        for index in range(chance.randrange(1, 7)):
            kind = chance.choices(list(kinds), [6, 2, 2])[0]
            item = f"item-{int(user[5:]) % 10 * 20 + chance.randrange(20)}"
            acts.append({"what": kind, "sku": item, "noise": {"deep": [1, None, "\u00e9\n"]}})
            if kinds[kind] and not test:
                print(f"{ms},{user},{item},{kinds[kind]},b{records}/{index}", file=file)
                events += 1
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03d}Z"
        record = {"id": f"b{records}", "acts": acts, "sent": when, "test": test, "page": {"url": "/"}}
        value = json.dumps(record).encode()
        bus.produce(topic, key=user, value=b"\0\0\0\0\7" + value if records % 3 == 0 else value, timestamp=ms)
        bus.poll(0)
        records += 1
assert bus.flush(60) == 0
print(records, events)
