# SPDX-License-Identifier: Apache-2.0
"""raw_ids: events of users whose ids begin with RAWID, good ones and bad ones of every kind that names them.

  raw_ids.py send BROKERS MILLRACE        prints how many are good and bad
  raw_ids.py names BROKERS MILLRACE APP KEY    exit 1 where a list is not of the name that the key gives
"""
import base64
import hashlib
import hmac
import sys
import time

from bus import make_topics, producer, read_all, schema_of


def send(brokers, millrace):
    click, control, now = schema_of(millrace, "click"), schema_of(millrace, "control"), int(time.time() * 1000)
    make_topics(brokers, {"clicks": 4, "wishes": 4})
    bus, bad = producer(brokers), 0
    for n in range(3000):
        user = f"RAWID-{n % 101}"
        value, when = click.single_object({"user": user, "item": f"item-{n % 70}", "time": now + n}), now + n
        if n % 50 == 7:
            value = value[:-3]  # cut
        elif n % 50 == 17:
            value = b"{\"user\": \"" + user.encode() + b"\"}"  # not framed
        elif n % 50 == 27:
            value = click.single_object({"user": user, "item": "", "time": now + n})
        elif n % 50 == 37:
            value = click.single_object({"user": user, "item": "item-1", "time": now + n + 10 ** 10})
        bad += n % 50 in (7, 17, 27, 37)
        bus.produce("clicks", key=user, value=value, timestamp=when, headers=[("who", user.encode())])
        bus.poll(0)
    for n in range(101):
        user = f"RAWID-{n}"
        record = {"user": user, "time": now + 3000, "action": "forget" if n % 10 == 0 else "mute", "target": "item-3", "value": None}
        bus.produce("wishes", key=user, value=control.single_object(record), timestamp=now + 3000)
    assert bus.flush(60) == 0
    print(f"good={3101 - bad} bad={bad}")


def names(brokers, millrace, app, key):
    schema = schema_of(millrace, "list")
    with open(key, "rb") as file:
        secret = file.read().rstrip(b"\r\n")
    known = {base64.urlsafe_b64encode(hmac.new(secret, f"RAWID-{n}".encode(), hashlib.sha256).digest()[:16]).rstrip(b"=")
             for n in range(101)}
    seen = set()
    for message in read_all(brokers, app + ".lists"):
        seen.add(message.key())
        if message.value() is not None:
            assert schema.read(message.value())["user"].encode() == message.key()
    print(f"names={len(seen)} known={len(seen & known)}")
    return 0 if seen == known else 1


sys.exit({"send": send, "names": names}[sys.argv[1]](*sys.argv[2:]))
