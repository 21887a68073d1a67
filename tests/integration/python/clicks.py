# SPDX-License-Identifier: Apache-2.0
"""clicks: one log, as a CSV file and as a topic: records' timestamps are the events' times.

  clicks.py BROKERS MILLRACE FILE TOPIC PARTITIONS COUNT

Prints the time at which the second half begins, in milliseconds.
"""
import random
import sys
import time

from bus import make_topics, producer, schema_of

brokers, millrace, path, topic, partitions, count = sys.argv[1:]
count = int(count)
click, chance = schema_of(millrace, "click"), random.Random(3)
make_topics(brokers, {topic: int(partitions)})
bus, first = producer(brokers), int(time.time() * 1000) - 3600000
with open(path, "w") as file:
    print("timestamp_ms,user,item,type,event_id", file=file)
    for n in range(count):
        user, ms = chance.randrange(400), first + n * 37
        item = user % 10 * 20 + chance.randrange(20)
        print(f"{ms},user-{user},item-{item},click,e{n}", file=file)
        record = {"user": f"user-{user}", "item": f"item-{item}", "time": ms, "event_id": f"e{n}"}
        bus.produce(topic, key=record["user"], value=click.single_object(record), timestamp=ms)
        bus.poll(0)
assert bus.flush(60) == 0
print(first + count // 2 * 37)
