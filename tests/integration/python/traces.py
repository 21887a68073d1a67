# SPDX-License-Identifier: Apache-2.0
"""traces: events that belong to requests, and the lists that answer them.

  traces.py send BROKERS MILLRACE      the same events for two applications, with headers for `traced` and without for `plain`
  traces.py ask BROKERS MILLRACE       exit 1 where lists of `traced` have other headers than they should, or other bytes than `plain`
  traces.py follow BROKERS MILLRACE    sends one event after the other to a worker that runs, and waits for the list of each
  traces.py count BROKERS MILLRACE     what the metrics say
"""
import json
import re
import sys
import time

from confluent_kafka import Consumer, TopicPartition

from bus import make_topics, producer, read_all, schema_of

BAD = [b"", b"00", b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01", b"no trace \xff\0", b"0" * 4096]
FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0([01])$")


def trace_of(n):
    return f"00-{n + 1:032x}-{n + 77:016x}-0{n % 2}"


def headers_of(n):
    """By number: a trace, one of a CloudEvent, none, or one that is broken."""
    if n % 4 == 0:
        return [("other", b"x"), ("traceparent", trace_of(n).encode())]
    if n % 4 == 1:
        return [("ce_specversion", b"1.0"), ("ce_traceparent", trace_of(n).encode())]
    return [("traceparent", BAD[n // 4 % len(BAD)])] if n % 4 == 3 else None


def send(brokers, millrace):
    click, now = schema_of(millrace, "click"), int(time.time() * 1000) - 60000
    make_topics(brokers, {topic: 2 for topic in ("clicks", "moves", "plain.clicks", "plain.moves")})
    bus = producer(brokers)
    for prefix in ("", "plain."):
        for n in range(400):  # a catalogue, by somebody else
            record = {"user": f"other-{n % 20}", "item": f"item-{n % 50}", "time": now + n}
            bus.produce(prefix + "clicks", key=record["user"], value=click.single_object(record), timestamp=now + n)
        for n in range(80):
            user, at = f"user-{n}", now + 1000 + n
            headers = headers_of(n) if prefix == "" else None
            if n % 8 < 4:
                value = click.single_object({"user": user, "item": f"item-{n % 50}", "time": at})
                bus.produce(prefix + "clicks", key=user, value=value, timestamp=at, headers=headers)
            else:
                value = json.dumps({"who": user, "what": f"item-{n % 50}", "at": at})
                bus.produce(prefix + "moves", value=value, timestamp=at, headers=headers)
    assert bus.flush(60) == 0


def lists(brokers, millrace, app):
    schema = schema_of(millrace, "list")
    for message in read_all(brokers, app + ".lists"):
        yield message, schema.read(message.value())


def ask(brokers, millrace):
    faults, spans, traced = [], set(), 0
    for message, record in lists(brokers, millrace, "traced"):
        headers, (kind, number) = dict(message.headers() or []), record["user"].split("-")
        wanted = kind == "user" and int(number) % 4 < 2
        if set(headers) != ({"traceparent"} if wanted else set()):
            faults.append(f"{record['user']}: {headers}")
        elif wanted:
            found, sent = FORM.match(headers["traceparent"].decode()), FORM.match(trace_of(int(number)))
            if not found or found[1] != sent[1] or found[2] == sent[2] or found[3] != sent[3]:
                faults.append(f"{record['user']}: {headers}, the event had {sent[0]}")
            spans.add(found[2])
            traced += 1
    if traced < 40 or len(spans) != traced:
        faults.append(f"{traced} lists with {len(spans)} spans")
    print(f"traced={traced}", *faults[:5])
    return not faults


def follow(brokers, millrace):
    click, bus = schema_of(millrace, "click"), producer(brokers)
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "follows", "isolation.level": "read_committed",
                         "enable.auto.commit": False})
    ends = [consumer.get_watermark_offsets(TopicPartition("traced.lists", p), 10)[1] for p in range(2)]
    consumer.assign([TopicPartition("traced.lists", p, end) for p, end in enumerate(ends)])

    def next_list(user, seconds):
        until = time.time() + seconds
        while time.time() < until:
            message = consumer.poll(0.1)
            if message is not None and message.error() is None and message.key() == user.encode():
                return dict(message.headers() or [])
        return None

    def say(user, item, headers):
        at = int(time.time() * 1000)
        record = {"user": user, "item": f"item-{item}", "time": at}
        bus.produce("clicks", key=user, value=click.single_object(record), timestamp=at, headers=headers)

    for n in range(6):
        user = f"live-{time.time_ns()}"
        for part in range(3):  # one without a header takes nothing away
            say(user, n * 3 + part, [("traceparent", trace_of(1000 + n * 2 + part).encode())] if part < 2 else None)
        assert bus.flush(20) == 0
        headers = next_list(user, 20)
        found = FORM.match((headers or {}).get("traceparent", b"").decode())
        if not found or int(found[1], 16) not in (1001 + n * 2, 1002 + n * 2):
            sys.exit(f"{user}: {headers}")
        while next_list(user, 1) is not None:
            pass
        say(user, 30 + n, [("traceparent", BAD[n % len(BAD)])])  # what was answered is not answered again
        assert bus.flush(20) == 0
        headers = next_list(user, 20)
        if headers != {}:
            sys.exit(f"{user}: {headers} of an event that was answered")
    print("followed=6")
    return True


def count(brokers, millrace):
    schema, values = schema_of(millrace, "metric"), {}
    for message in read_all(brokers, "traced.metrics"):
        record = schema.read(message.value())
        if record["name"].startswith("traces_"):
            values[record["name"]] = record["value"]
    print(values)
    return values.get("traces_carried", 0) >= 6 and values.get("traces_malformed", 0) >= 6 and values.get("traces_left_out") == 0


if not {"send": send, "ask": ask, "follow": follow, "count": count}[sys.argv[1]](*sys.argv[2:]) and sys.argv[1] != "send":
    sys.exit(1)
