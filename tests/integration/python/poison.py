# SPDX-License-Identifier: Apache-2.0
"""poison: good events with every kind of bad record among them; then whether each stands in the dead letters.

  poison.py schemas DIR                           writes the foreign schemas that the worker has to know
  poison.py send BROKERS MILLRACE FILE            makes the topics, sends, notes in FILE what was sent
  poison.py count BROKERS TOPIC                   prints how many records a topic has
  poison.py check BROKERS TOPIC FILE              reads the dead letters; exit 1 where one is missing, twice,
                                                  or says something wrong
"""
import base64
import decimal
import json
import random
import struct
import sys
import time
from collections import Counter

from bus import Schema, make_topics, producer, read_all, schema_of

GOOD = 3000
RECORD_BYTES_MAX = 1000000  # outputs.record_bytes_max: longer dead letters are cut
MESSAGE_BYTES_MAX = 3000000  # of the topics
YEAR_2100 = 4102444800000
VECTOR = 4  # items.vector_length

# Somebody else's records, known by number as in a schema registry.
SHOP = {"type": "record", "name": "View", "namespace": "com.shop", "fields": [
    {"name": "internal", "type": {"type": "map", "values": {"type": "array", "items": "long"}}},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
    {"name": "userId", "type": "string"}, {"name": "item_id", "type": ["null", "long", "string"]},
    {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-micros"}}]}
NODE = {"type": "record", "name": "Node", "namespace": "com.shop", "fields": [
    {"name": "inner", "type": ["null", "Node"]}, {"name": "user", "type": "string"},
    {"name": "item", "type": "string"},
    {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}
STRANGE = {"type": "record", "name": "Strange", "namespace": "com.shop", "fields": [
    {"name": "temperature", "type": "double"}]}
KNOWN = {7: SHOP, 8: NODE, 9: STRANGE}


def varint(number):
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def text(value):
    return varint(len(value)) + value


class Sender:
    def __init__(self, brokers):
        self.producer = producer(brokers)
        self.notes, self.random = [], random.Random(1)

    def send(self, topic, key, value, name=None, cause=None, **more):
        """name and cause: of a bad record."""
        def delivered(error, message):
            assert error is None, (name, error)
            if name is not None:
                self.notes.append({
                    "name": name, "cause": cause, "topic": topic, "partition": message.partition(),
                    "offset": message.offset(), "time": message.timestamp()[1],
                    "key": None if key is None else base64.b64encode(key).decode(),
                    "value": None if value is None else base64.b64encode(value).decode()})
        headers = [("origin", name or "good")]
        self.producer.produce(topic, key=key, value=value, headers=headers, on_delivery=delivered, **more)
        self.producer.poll(0)


def bad_records(click, purchase, impression, catalogue, now):
    """(topic, key, value, name, cause, further arguments of produce)"""
    def a_click(**changes):
        return {"user": "u1", "item": "i1", "time": now, **changes}

    def one(schema, **fields):
        return schema.single_object(fields)

    good = click.single_object(a_click(session="a session"))
    head = click.mark + varint(0)  # up to the user: no event id
    tail = text(b"i1") + varint(now)
    big = b"x" * (1 << 20)
    yield "clicks", b"k", good[:12], "cut inside an id", "bad_length"
    yield "clicks", b"k", good[:-1], "cut by a byte", "truncated"
    yield "clicks", b"k", click.mark, "cut to nothing", "truncated"
    yield "clicks", b"k", good[:-5] + good[-4:], "a byte is missing", None
    yield "clicks", b"k", good + b"\0", "over-long by a byte", "trailing_bytes"
    yield "clicks", b"k", good + good, "twice in one", "trailing_bytes"
    yield "clicks", b"k", head + varint(-5) + tail, "negative length", "bad_length"
    yield "clicks", b"k", head + varint(1 << 40) + tail, "huge length", "bad_length"
    yield "clicks", b"k", head + varint(-(1 << 63)) + tail, "the most negative length", "bad_length"
    rest = varint(0) * 6  # session to value
    yield "clicks", b"k", head + text(b"u") + tail + rest + varint(1 << 40), "huge count", "bad_count"
    yield ("clicks", b"k", head + text(b"u") + tail + rest + varint(-(1 << 63)) + varint(2) + text(b"a"),
           "the most negative count", "bad_count")
    yield ("clicks", b"k", head + text(b"u") + tail + rest + varint(-3) + varint(1 << 50),
           "huge block", None)
    yield "clicks", b"k", head + b"\xff" * 11 + tail, "endless number", "bad_varint"
    yield ("clicks", b"k", b"\0" + struct.pack(">I", 8) + varint(1) * 200, "nested 200 deep", "too_deep")
    yield "clicks", b"k", click.mark + varint(7) + text(b"u") + tail, "wrong branch", "bad_branch"
    yield "clicks", b"k", click.mark + varint(-1) + text(b"u") + tail, "negative branch", "bad_branch"
    yield ("clicks", b"k", b"\0" + struct.pack(">I", 7) + varint(0) * 2 + text(b"u") + varint(9),
           "wrong branch of a foreign schema", "bad_branch")
    yield ("clicks", b"k", head + text(b"\xff\xfe") + tail + rest + varint(0), "no UTF-8", "bad_utf8")
    yield ("clicks", b"k", head + text(b"\xed\xa0\x80") + tail + rest + varint(0), "a surrogate", "bad_utf8")
    yield "clicks", b"k", one(click, **a_click(value=float("nan"))), "NaN", "not_finite"
    yield "clicks", b"k", one(click, **a_click(value=float("inf"))), "infinite", "not_finite"
    yield "clicks", b"k", one(click, **a_click(propensity=float("-inf"))), "infinite propensity", "not_finite"
    yield "clicks", b"k", one(click, **a_click(propensity=1.5)), "propensity above 1", "out_of_range"
    yield "clicks", b"k", one(click, **a_click(time=0)), "1970", "bad_time"
    yield "clicks", b"k", one(click, **a_click(time=YEAR_2100)), "2100", "bad_time"
    yield "clicks", b"k", one(click, **a_click(time=-(1 << 62))), "before all time", "bad_time"
    yield "clicks", b"k", one(click, **a_click()), "a record of 1970", "bad_time", {"timestamp": 1000}
    yield "clicks", b"", one(click, **a_click(user="")), "empty user", "no_user"
    yield "clicks", b"k", one(click, **a_click(item="")), "empty item", "no_item"
    yield "clicks", b"k", one(click, **a_click(user="u" * (1 << 20))), "user of 1 MiB", "id_too_long"
    yield "clicks", b"k", one(click, **a_click(item="i" * (1 << 20))), "item of 1 MiB", "id_too_long"
    yield "clicks", b"k", one(click, **a_click(user="u" * 65)), "user too long by a byte", "id_too_long"
    yield "clicks", big, good[:-1], "key of 1 MiB", "truncated"
    yield "clicks", b"k", b"\0" + struct.pack(">I", 999999) + good, "unknown number", "unknown_schema"
    yield "clicks", b"k", b"\xc3\x01" + b"8 bytes." + good, "unknown fingerprint", "unknown_schema"
    yield "clicks", b"k", b"\0" + struct.pack(">I", 9) + b"\0" * 8, "no field of ours", "unsuitable_schema"
    yield "clicks", b"k", b'{"user": "u1"}', "JSON", "bad_framing"
    yield "clicks", b"k", b"\0\0", "half a frame", "bad_framing"
    yield "clicks", b"k", b"", "empty value", "empty_value"
    yield "clicks", b"k", None, "null value", "empty_value"
    yield "clicks", None, None, "null key and value", "empty_value"
    yield "purchases", b"k", one(purchase, user="u1", time=now, lines=[]), "no lines", "no_lines"
    yield ("purchases", b"k", one(purchase, user="u1", time=now, lines=[{"item": "i1"}, {"item": ""}]),
           "a line without item", "no_item")
    yield ("purchases", b"k", one(purchase, user="u1", time=now, lines=[{"item": "i1", "quantity": 1.0, "price": decimal.Decimal("-1")}]),
           "negative price", "out_of_range")
    yield ("purchases", b"k", one(purchase, user="u1", time=now, lines=[{"item": "i1", "quantity": float("nan")}]),
           "NaN pieces", "not_finite")
    yield "impressions", b"k", one(impression, user="u1", time=now, slate=[]), "empty slate", "no_lines"
    for length in (VECTOR - 1, VECTOR + 1):
        yield ("catalogue", b"i1", one(catalogue, item="i1", time=now, vector=[0.5] * length),
               f"vector of {length}", "vector_length")
    yield ("catalogue", b"i1", one(catalogue, item="i1", time=now, vector=[0.5] * 2000),
           "vector of 2000", None)
    yield ("catalogue", b"i1", one(catalogue, item="i1", time=now, vector=[float("inf")] * VECTOR),
           "infinite vector", "not_finite")
    yield "views", b"7 bytes", click.single_object(a_click()), "key that is no long", "bad_value"


def send_compressed(brokers, sender, click, now):
    """Batches of each codec, as producers are configured; every tenth record is bad. Returns how many are good."""
    plain, good = sender.producer, 0
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        sender.producer = producer(brokers, {"compression.type": codec, "linger.ms": 50})
        for n in range(60):
            record = {"user": f"u{n % 7}", "item": f"i{n % 200}", "time": now + n, "event_id": f"{codec}{n}"}
            value = click.single_object(record)
            if n % 10 == 9:
                sender.send("clicks", b"k", value[:-1], f"{codec} {n}", "truncated")
            else:
                sender.send("clicks", record["user"].encode(), value)
                good += 1
        assert sender.producer.flush(60) == 0
    sender.producer = plain
    return good


def send_aborted(brokers, click, now):
    """Transactions that are taken back, before and after one that is not. Returns how many records count."""
    bus = producer(brokers, {"transactional.id": "foreign"})
    bus.init_transactions(30)
    for turn in range(3):
        bus.begin_transaction()
        for n in range(40):
            record = {"user": f"u{n}", "item": f"i{n}", "time": now, "event_id": f"t{turn}/{n}"}
            value = click.single_object(record)
            bus.produce("clicks", key=record["user"], value=value if turn == 1 or n % 2 else value[:-1])
        assert bus.flush(30) == 0  # they are in the log
        if turn == 1:
            bus.commit_transaction(30)
        else:
            bus.abort_transaction(30)
    return 40


def send_odd(sender, catalogue, now):
    """What is unusual and no mistake: an item that goes, and records as large as the topic takes. Returns how many."""
    sender.send("catalogue", b"i199", None)
    for n in range(2):
        record = {"item": f"large{n}", "time": now, "title": "t" * (MESSAGE_BYTES_MAX - 1000), "vector": [0.5] * VECTOR}
        sender.send("catalogue", record["item"].encode(), catalogue.single_object(record))
    return 3


def send(brokers, millrace, path):
    click, purchase, impression, catalogue = (schema_of(millrace, n) for n in
                                              ("click", "purchase", "impression", "catalogue"))
    shop = Schema(SHOP)
    make_topics(brokers, {"clicks": 3, "purchases": 3, "impressions": 3, "views": 3, "catalogue": 2},
                {"max.message.bytes": str(MESSAGE_BYTES_MAX)})
    sender, now = Sender(brokers), int(time.time() * 1000)
    bad = list(bad_records(click, purchase, impression, catalogue, now))
    every = GOOD // len(bad)
    for n in range(GOOD):
        user, item = f"u{sender.random.randrange(100)}", f"i{sender.random.randrange(200)}"
        key = user.encode()
        if n % 5 == 0:
            record = {"internal": {"a": [1, 2], "b": []}, "kind": "B", "userId": user, "item_id": item,
                      "ts": (now + n) * 1000}
            sender.send("clicks", key, shop.confluent(7, record))
        elif n % 5 == 1:
            lines = [{"item": item, "quantity": 2.0}, {"item": "i1"}]
            sender.send("purchases", key, purchase.single_object({"user": user, "time": now + n, "lines": lines}))
        elif n % 5 == 2:
            record = {"item": item, "time": now + n, "vector": [0.1 * k for k in range(VECTOR)]}
            sender.send("catalogue", item.encode(), catalogue.single_object(record))
        else:
            record = {"user": user, "item": item, "time": now + n, "event_id": f"e{n}"}
            sender.send("clicks", key, click.single_object(record))
        if n % every == every - 1 and n // every < len(bad):
            topic, key, value, name, cause, *more = bad[n // every]
            sender.send(topic, key, value, name, cause, **(more[0] if more else {}))
    assert sender.producer.flush(60) == 0
    good = GOOD + send_compressed(brokers, sender, click, now)
    good += send_aborted(brokers, click, now) + send_odd(sender, catalogue, now)
    assert sender.producer.flush(60) == 0
    assert len(sender.notes) == len(bad) + 5 * 6
    with open(path, "w") as file:
        json.dump(sender.notes, file)
    print(f"good={good} bad={len(sender.notes)}")


def check_one(note, letter, faults):
    def want(what, found, wanted):
        if found != wanted:
            faults.append(f"{note['name']}: {what}: found {found!r}, want {wanted!r}")

    headers = {name: value.decode() for name, value in letter.headers() if value is not None}
    value = None if note["value"] is None else base64.b64decode(note["value"])
    key = None if note["key"] is None else base64.b64decode(note["key"])
    prefix = "__connect.errors."
    want("topic", headers[prefix + "topic"], note["topic"])
    want("partition", headers[prefix + "partition"], str(note["partition"]))
    want("offset", headers[prefix + "offset"], str(note["offset"]))
    want("connector", headers[prefix + "connector.name"], "poison")
    want("timestamp", letter.timestamp()[1], note["time"])
    if note["cause"] is not None:
        want("cause", headers[prefix + "exception.class.name"], note["cause"])
    if not headers[prefix + "exception.message"]:
        faults.append(f"{note['name']}: no message")
    if len(value or b"") + len(key or b"") < RECORD_BYTES_MAX - 10000:
        want("value", letter.value(), value)
        want("key", letter.key(), key)
    else:
        whole = (letter.value() or b"") == (value or b"") or headers.get("millrace.errors.value.bytes") == str(len(value))
        if not (whole and (value or b"").startswith(letter.value() or b"") and (key or b"").startswith(letter.key() or b"")):
            faults.append(f"{note['name']}: cut wrongly: {len(letter.value() or b'')} bytes")


def check(brokers, topic, path):
    with open(path) as file:
        notes = {note["name"]: note for note in json.load(file)}
    faults, seen, causes = [], Counter(), Counter()
    for letter in read_all(brokers, topic):
        headers = {name: value for name, value in letter.headers()}
        place = tuple(headers["__connect.errors." + part].decode() for part in ("topic", "partition", "offset"))
        name = {(n["topic"], str(n["partition"]), str(n["offset"])): n["name"] for n in notes.values()}.get(place)
        cause = headers["__connect.errors.exception.class.name"].decode()
        if name is None:
            faults.append(f"a good record stands in the dead letters: {place}, {cause}, "
                          f"{headers['__connect.errors.exception.message']}")
            continue
        seen[name] += 1
        causes[cause] += 1
        check_one(notes[name], letter, faults)
    for name in notes:
        if seen[name] != 1:
            faults.append(f"{name}: {seen[name]} times in the dead letters")
    print(f"dead_letters={sum(seen.values())} causes={len(causes)}: "
          + " ".join(f"{c}={n}" for c, n in sorted(causes.items())))
    for fault in faults:
        print("FAULT:", fault)
    return 1 if faults else 0


def main():
    command, *rest = sys.argv[1:]
    if command == "schemas":
        for number, schema in KNOWN.items():
            with open(f"{rest[0]}/{number}.avsc", "w") as file:
                json.dump(schema, file)
    elif command == "send":
        send(*rest)
    elif command == "count":
        print(len(read_all(*rest)))
    elif command == "check":
        sys.exit(check(*rest))
    else:
        sys.exit(__doc__)


main()
