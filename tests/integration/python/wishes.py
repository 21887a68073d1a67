# SPDX-License-Identifier: Apache-2.0
"""wishes: users who say what their lists shall be, and whether they get it.

  wishes.py click BROKERS MILLRACE              a catalogue of six categories, and clicks on anything
  wishes.py say BROKERS MILLRACE APP FILE       every user says something; what was expected goes to FILE
  wishes.py check BROKERS MILLRACE APP FILE     exit 1 where a list after it is not what was said
"""
import json
import random
import sys
import time

from bus import make_topics, producer, read_all, schema_of

USERS, ITEMS, CATEGORIES = 400, 60, 6


def category(item):
    return f"c{int(item.split('-')[1]) % CATEGORIES}"


def click(brokers, millrace):
    catalogue, clicks, chance = schema_of(millrace, "catalogue"), schema_of(millrace, "click"), random.Random(3)
    make_topics(brokers, {"clicks": 4, "catalogue": 4, "wishes": 4})
    bus, now = producer(brokers), int(time.time() * 1000) - 60000
    for n in range(ITEMS):
        record = {"item": f"item-{n}", "time": now, "categories": [f"c{n % CATEGORIES}"]}
        bus.produce("catalogue", key=record["item"], value=catalogue.single_object(record), timestamp=now)
    for n in range(8000):
        record = {"user": f"user-{chance.randrange(USERS)}", "item": f"item-{chance.randrange(ITEMS)}", "time": now + n}
        bus.produce("clicks", key=record["user"], value=clicks.single_object(record), timestamp=now + n)
        bus.poll(0)
    assert bus.flush(60) == 0


def versions(brokers, millrace, app):
    schema, last = schema_of(millrace, "list"), {}
    for message in read_all(brokers, app + ".lists"):
        if message.value() is not None:
            record = schema.read(message.value())
            last[record["user"]] = record["version"]
    return last


def say(brokers, millrace, app, path):
    control, said, bus, now = schema_of(millrace, "control"), {}, producer(brokers), int(time.time() * 1000)
    before = versions(brokers, millrace, app)
    for n in range(USERS):
        user, what = f"user-{n}", ("mute", "mute", "forget", "more")[n % 4]
        target = None if what == "forget" else f"item-{n % ITEMS}" if n % 4 == 1 else f"c{n % CATEGORIES}"
        record = {"user": user, "time": now + n, "action": what, "target": target,
                  "value": 3.0 if what == "more" else None}
        bus.produce("wishes", key=user, value=control.single_object(record), timestamp=now + n)
        said[user] = {"what": what, "target": target, "version": before.get(user, 0)}
    assert bus.flush(60) == 0
    with open(path, "w") as file:
        json.dump(said, file)


def check_one(user, said, after, faults):
    """after: the user's lists since he said it, None for a tombstone; the one before where no new one was needed."""
    if said["what"] == "forget":
        if not after or after[-1] is not None:
            faults.append(f"{user} is forgotten, and his list is not taken away")
        return 0
    for entries in after:
        if said["what"] == "mute" and any(said["target"] in (item, category(item)) for item in entries):
            faults.append(f"{user} muted {said['target']}: {entries}")
        if said["what"] == "more" and category(entries[0]) != said["target"]:
            faults.append(f"{user} wants more of {said['target']}: {entries}")
    return len(after)


def check(brokers, millrace, app, path):
    schema, before, after, faults, checked = schema_of(millrace, "list"), {}, {}, [], 0
    with open(path) as file:
        said = json.load(file)
    for message in read_all(brokers, app + ".lists"):
        user = message.key().decode()
        record = message.value() and schema.read(message.value())
        if record is None:
            after.setdefault(user, []).append(None)
        elif record["version"] > said[user]["version"]:
            after.setdefault(user, []).append([entry["item"] for entry in record["entries"]])
        else:
            before[user] = [entry["item"] for entry in record["entries"]]
    for user, what in said.items():
        checked += check_one(user, what, after.get(user, [before[user]]), faults)
    print(f"wishes={len(said)} lists={checked} forgotten={sum(w['what'] == 'forget' for w in said.values())}")
    if checked < USERS - USERS // 4:
        faults.append(f"{checked} lists of {USERS - USERS // 4} users who were not forgotten")
    for fault in faults[:20]:
        print("FAULT:", fault)
    return 1 if faults else 0


commands = {"click": click, "say": say, "check": check}
if len(sys.argv) < 2 or sys.argv[1] not in commands:
    sys.exit(__doc__)
sys.exit(commands[sys.argv[1]](*sys.argv[2:]))
