# SPDX-License-Identifier: Apache-2.0
"""letters: clicks in the schema of somebody else, framed by a number that the worker may know or not.

  letters.py send BROKERS MILLRACE SCHEMA     writes the schema to the file SCHEMA, and sends 300 clicks of it and 100 of ours
  letters.py redriven BROKERS                 prints how many records say that they were put back, and how many of them differ
"""
import json
import sys
import time

from bus import Schema, make_topics, producer, read_all, schema_of

VIEW = {"type": "record", "name": "View", "namespace": "com.shop", "fields": [
    {"name": "userId", "type": "string"}, {"name": "item_id", "type": "string"},
    {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}


def send(brokers, millrace, path):
    view, click, now = Schema(VIEW), schema_of(millrace, "click"), int(time.time() * 1000)
    make_topics(brokers, {"clicks": 4})
    bus = producer(brokers)
    for n in range(400):
        user, item = f"user-{n % 37}", f"item-{n % 50}"
        if n % 4 == 0:
            value = click.single_object({"user": user, "item": item, "time": now + n})
        else:
            value = view.confluent(21, {"userId": user, "item_id": item, "ts": now + n})
        bus.produce("clicks", key=user, value=value, timestamp=now + n, headers=[("trace", str(n).encode())])
    assert bus.flush(60) == 0
    with open(path, "w") as file:
        json.dump(VIEW, file)


def redriven(brokers):
    first, again, differ = {}, 0, 0
    for message in read_all(brokers, "clicks"):
        headers = dict(message.headers())
        if "millrace.redriven" not in headers:
            first[headers["trace"]] = (message.key(), message.value(), message.partition(), message.timestamp(), set(headers))
    for message in read_all(brokers, "clicks"):
        headers = dict(message.headers())
        if headers.pop("millrace.redriven", None) is not None:
            again += 1
            differ += first[headers["trace"]] != (message.key(), message.value(), message.partition(), message.timestamp(), set(headers))
    print(f"redriven={again} differ={differ}")


{"send": send, "redriven": redriven}[sys.argv[1]](*sys.argv[2:])
