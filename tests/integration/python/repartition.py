# SPDX-License-Identifier: Apache-2.0
"""repartition: users' events in topics that do not agree on a user's partition; then whether all is in its place.

  repartition.py send BROKERS MILLRACE FILE COUNT RATE    sends, RATE a second, and notes in FILE what was sent
  repartition.py check BROKERS APP FILE TOPIC...          exit 1 where something is missing, twice, or elsewhere;
                                                          TOPIC...: those that went through the repartition topic

clicks lie by user under murmur2 in 4 partitions, views in any of 3 and without a key, carts by user under
librdkafka's own partitioner (crc32) in 4. Of views and carts some are cut short.
"""
import json
import random
import sys
import time
from collections import Counter, defaultdict

from bus import make_topics, producer, read_all, schema_of
from confluent_kafka import Producer

USERS, ITEMS, ONE_IN = 150, 80, 200
PARTITIONS = {"clicks": 4, "views": 3, "carts": 4}
BAD = ("views", "carts")  # topics with records that are cut short


def send(brokers, millrace, path, count, rate):
    count, rate = int(count), int(rate)
    chance, schema = random.Random(5), {"clicks": schema_of(millrace, "click"), "views": schema_of(millrace, "click"),
                                        "carts": schema_of(millrace, "cart")}
    make_topics(brokers, PARTITIONS)
    murmur2 = producer(brokers)
    crc32 = Producer({"bootstrap.servers": brokers, "enable.idempotence": True, "linger.ms": 5})
    notes, users, begun = [], Counter(), time.time()
    for n in range(count):
        topic = chance.choice(("clicks", "views", "views", "carts"))
        user, ms = f"user-{chance.randrange(USERS)}", int(time.time() * 1000)
        record = {"user": user, "item": f"item-{chance.randrange(ITEMS)}", "time": ms, "event_id": f"e{n}"}
        value, bad = schema[topic].single_object(record), topic in BAD and chance.randrange(ONE_IN) == 0
        if bad:
            value = value[:-1]
        else:
            users[user] += 1

        def delivered(error, message, bad=bad):
            assert error is None, error
            notes.append({"topic": message.topic(), "partition": message.partition(), "offset": message.offset(),
                          "time": message.timestamp()[1], "bad": bad, "value": message.value().hex(),
                          "key": None if message.key() is None else message.key().decode()})

        if topic == "views":
            murmur2.produce(topic, value=value, partition=chance.randrange(3), headers=[("trace", str(n))],
                            timestamp=ms - 1000, on_delivery=delivered)
        else:
            bus = murmur2 if topic == "clicks" else crc32
            bus.produce(topic, key=user, value=value, headers=[("trace", str(n))], on_delivery=delivered)
        murmur2.poll(0), crc32.poll(0)
        if rate > 0 and n % 50 == 0:
            time.sleep(max(0, begun + n / rate - time.time()))
    assert murmur2.flush(60) == 0 and crc32.flush(60) == 0
    with open(path, "w") as file:
        json.dump({"records": notes, "users": users}, file)
    bad = sum(note["bad"] for note in notes)
    print(f"good={count - bad} bad={bad}")


def place_of(message):
    """What a copy says of its source: topic, partition, offset; its timestamp there; whether it was refused."""
    name, value = message.headers()[0]
    assert name == "millrace.origin", name
    topic, partition, offset, ms, *refused = value.decode().split(" ")
    return (topic, int(partition), int(offset)), int(ms), refused


def user_of(value):
    return next(u for u in (b"user-%d" % i for i in reversed(range(USERS))) if u in value)


def check_copies(brokers, app, notes, through, faults):
    """Each record once, as it was, all of a user in one partition: that of the clicks, if they are read directly."""
    sources = {(n["topic"], n["partition"], n["offset"]): n for n in notes["records"] if n["topic"] in through}
    lies, times = {}, Counter()
    for message in read_all(brokers, "clicks") if "clicks" not in through else ():
        lies[message.key()] = message.partition()
    for message in read_all(brokers, f"{app}.repartition"):
        place, ms, refused = place_of(message)
        source = sources.get(place)
        times[place] += 1
        if source is None:
            faults.append(f"a copy of nothing: {place}")
            continue
        key = None if message.key() is None else message.key().decode()
        if (message.value().hex(), key, ms) != (source["value"], source["key"], source["time"]):
            faults.append(f"{place}: the copy is another record")
        if [name for name, _ in message.headers()] != ["millrace.origin", "trace"]:
            faults.append(f"{place}: headers {message.headers()}")
        if bool(refused) != source["bad"]:
            faults.append(f"{place}: refused: {refused}")
        if not source["bad"]:
            user = user_of(message.value())
            if lies.setdefault(user, message.partition()) != message.partition():
                faults.append(f"{place}: {user} in partition {message.partition()}, before in {lies[user]}")
    faults += [f"{place}: {times[place]} copies" for place in sources if times[place] != 1]
    return len(times)


def check_letters(brokers, app, notes, faults):
    bad = {(n["topic"], n["partition"], n["offset"]): n for n in notes["records"] if n["bad"]}
    seen = Counter()
    for letter in read_all(brokers, f"{app}.dead-letters"):
        headers = dict(letter.headers())
        place = (headers["__connect.errors.topic"].decode(), int(headers["__connect.errors.partition"]),
                 int(headers["__connect.errors.offset"]))
        seen[place] += 1
        source = bad.get(place)
        if source is None:
            faults.append(f"a good record stands in the dead letters: {place}")
        elif letter.value().hex() != source["value"] or letter.timestamp()[1] != source["time"]:
            faults.append(f"{place}: the dead letter is another record")
        if "millrace.origin" in headers or "trace" not in headers:
            faults.append(f"{place}: headers {list(headers)}")
    faults += [f"{place}: {seen[place]} dead letters" for place in bad if seen[place] != 1]
    return len(seen)


def check_rows(brokers, app, notes, faults):
    """Every user's row in the changelog of one task."""
    tasks = defaultdict(set)
    for message in read_all(brokers, f"{app}.user-rows"):
        if b"user-" in message.key():
            tasks[message.key()[message.key().index(b"user-"):].decode()].add(message.partition())
    for user in notes["users"]:
        if len(tasks[user]) != 1:
            faults.append(f"{user}: rows in tasks {sorted(tasks[user])}")
    return len(tasks)


def check(brokers, app, path, *through):
    with open(path) as file:
        notes = json.load(file)
    faults = []
    copies = check_copies(brokers, app, notes, through, faults)
    letters = check_letters(brokers, app, notes, faults)
    users = check_rows(brokers, app, notes, faults)
    print(f"copies={copies} dead_letters={letters} users={users}")
    for fault in faults[:20]:
        print("FAULT:", fault)
    return 1 if faults else 0


def main():
    command, *rest = sys.argv[1:]
    if command == "send":
        send(*rest)
    elif command == "check":
        sys.exit(check(*rest))
    else:
        sys.exit(__doc__)


main()
