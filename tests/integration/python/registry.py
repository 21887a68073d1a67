# SPDX-License-Identifier: Apache-2.0
"""registry: a foreign producer and reader on a bus with a schema registry.

  registry.py register URL IDS                               registers the schemas, in one order; ids as JSON
  registry.py send BROKERS TOPIC IDS MAP FIRST COUNT SCHEMA WHERE
                                                             clicks by an id; WHERE: all, or the users of a partition
                                                             (as noted in MAP), or !partition
  registry.py wait BROKERS GROUP TOPIC PARTITION:OFFSET...   until the group has come that far ("end": to its end)
  registry.py next BROKERS GROUP TOPIC PARTITION             the offset that the group goes on at
  registry.py lists BROKERS URL TOPIC                        reads lists by what the registry says
  registry.py refuse FILE                                    answers 401 to everybody but the user "anna", and to her
                                                             403 about a subject, until it is killed; its address in FILE

Nothing here comes from millrace.
"""
import http.server
import io
import json
import struct
import sys
import time
import urllib.request

import fastavro
from confluent_kafka import Consumer, TopicPartition

from bus import producer, read_all

CUSTOMER = {"type": "record", "name": "Customer", "namespace": "shop",
            "fields": [{"name": "id", "type": "string"}, {"name": "since", "type": "int", "default": 0}]}
CLICK = {"type": "record", "name": "Click", "namespace": "shop",
         "fields": [{"name": "by", "type": "shop.Customer"}, {"name": "item", "type": "string"},
                    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}
CLICK_2 = {**CLICK, "fields": [{"name": "shop", "type": "string", "default": "main"}] + CLICK["fields"]}


def call(url, path, body=None, method=None):
    request = urllib.request.Request(url + path, method=method, data=body and json.dumps(body).encode(),
                                     headers={"Content-Type": "application/vnd.schemaregistry.v1+json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def register(url, path):
    refers = [{"name": "shop.Customer", "subject": "customers", "version": 1}]
    call(url, "/subjects/customers/versions", {"schema": json.dumps(CUSTOMER)})
    ids = {}
    for name, schema in ("one", CLICK), ("two", CLICK_2):
        ids[name] = call(url, "/subjects/clicks-value/versions",
                         {"schema": json.dumps(schema), "references": refers})["id"]
    ids["none"] = 999
    with open(path, "w") as file:
        json.dump(ids, file)
    print(json.dumps(ids))


def send(brokers, topic, ids, places, first, count, name, where):
    number = json.load(open(ids))[name]
    schema = {**(CLICK_2 if name == "two" else CLICK)}
    schema["fields"] = [{**f, "type": CUSTOMER} if f["type"] == "shop.Customer" else f for f in schema["fields"]]
    parsed = fastavro.parse_schema(schema)
    try:
        place_of = json.load(open(places))
    except FileNotFoundError:
        place_of = {}
    bus, sent = producer(brokers), 0

    def note(error, message):
        assert error is None, error
        place_of[message.key().decode()] = message.partition()

    n = int(first)
    while sent < int(count):
        n += 1
        user = f"user-{n % 40}"
        wanted = where == "all" or (place_of[user] == int(where) if where[0] != "!" else place_of[user] != int(where[1:]))
        if not wanted:
            continue
        out = io.BytesIO(b"\0" + struct.pack(">I", number))
        out.seek(0, 2)
        fastavro.schemaless_writer(out, parsed, {"by": {"id": user, "since": 1}, "item": f"item-{n * 7 % 60}",
                                                 "at": int(time.time() * 1000), "shop": "s"})
        bus.produce(topic, key=user, value=out.getvalue(), on_delivery=note)
        bus.poll(0)
        sent += 1
    assert bus.flush(60) == 0
    with open(places, "w") as file:
        json.dump(place_of, file)


def open_consumer(brokers, group):
    return Consumer({"bootstrap.servers": brokers, "group.id": group, "enable.auto.commit": False})


def next_of(consumer, topic, partition):
    return max(consumer.committed([TopicPartition(topic, int(partition))], 10)[0].offset, 0)


def wait(brokers, group, topic, *places):
    consumer, until = open_consumer(brokers, group), time.time() + 60
    for place in places:
        partition, offset = place.split(":")
        ends = consumer.get_watermark_offsets(TopicPartition(topic, int(partition)), 10)
        want = ends[1] if offset == "end" else int(offset)
        while (found := next_of(consumer, topic, partition)) < want:
            if time.time() > until:
                sys.exit(f"{topic} [{partition}]: the group is at {found} after a minute, want {want}")
            time.sleep(0.1)
    consumer.close()


def lists(brokers, url, topic):
    schemas, users = {}, set()
    messages = read_all(brokers, topic)
    for message in messages:
        value = message.value()
        assert value[0] == 0, f"a value begins with {value[:5].hex()}"
        number = struct.unpack(">I", value[1:5])[0]
        if number not in schemas:
            schemas[number] = fastavro.parse_schema(json.loads(call(url, f"/schemas/ids/{number}")["schema"]))
        record = fastavro.schemaless_reader(io.BytesIO(value[5:]), schemas[number])
        assert record["user"].encode() == message.key() and record["entries"], record
        users.add(record["user"])
    latest = call(url, f"/subjects/{topic}-value/versions/latest")
    assert set(schemas) == {latest["id"]}, f"ids {set(schemas)}, the subject has {latest['id']}"
    print(f"lists={len(messages)} users={len(users)} id={latest['id']}")


class Refusing(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        anna = (self.headers["Authorization"] or "").startswith("Basic YW5uYTpodXNoLWh1c2g=")
        body = json.dumps({"error_code": 40301 if anna else 40101, "message": "no"}).encode()
        self.send_response(403 if anna else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


def refuse(path):
    server = http.server.HTTPServer(("127.0.0.1", 0), Refusing)
    with open(path, "w") as file:
        file.write(f"http://127.0.0.1:{server.server_port}\n")
    server.serve_forever()


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command == "next":
        print(next_of(open_consumer(*rest[:2]), *rest[2:]))
    else:
        {"register": register, "send": send, "wait": wait, "lists": lists, "refuse": refuse}[command](*rest)
