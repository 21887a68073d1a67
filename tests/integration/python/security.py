# SPDX-License-Identifier: Apache-2.0
"""security: what a foreign operator, producer and reader do on a bus with users, rights and a registry.

  security.py topics CLIENT TOPIC:PARTITIONS...         makes topics
  security.py allow CLIENT USER RIGHTS                  gives a user the rights of a file: lines of "operation
                                                        resource name", the name with a * at its end a prefix
  security.py deny CLIENT USER RIGHTS                   takes them away again
  security.py write CLIENT URL FIRST COUNT [READY GO]   clicks and purchases, by confluent-kafka's own serialiser;
                                                        with two files: of a newer schema, all serialised before
                                                        READY is there, and sent when GO is
  security.py read CLIENT URL TOPIC                     lists, by its deserialiser: counts them
  security.py wait CLIENT GROUP TOPIC                   until the group has read the topic to its end

CLIENT is a file of the client's properties. Nothing here comes from millrace.
"""
import json
import os
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient, NewTopic,
                                   ResourcePatternType, ResourceType)
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

RESOURCES = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP,
             "transactional-id": ResourceType.TRANSACTIONAL_ID}
OPERATIONS = {"Read": AclOperation.READ, "Write": AclOperation.WRITE, "Create": AclOperation.CREATE,
              "Describe": AclOperation.DESCRIBE, "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS}

AT = {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}
WHO = {"name": "visitor", "type": "string"}
CLICK = {"type": "record", "name": "Click", "namespace": "shop.python",
         "fields": [AT, WHO, {"name": "page", "type": ["null", "string"]}, {"name": "product", "type": "string"}]}
ORDER = {"type": "record", "name": "Order", "namespace": "shop.python",
         "fields": [AT, WHO, {"name": "lines", "type": {"type": "array", "items": {
             "type": "record", "name": "Line",
             "fields": [{"name": "pieces", "type": "int"}, {"name": "product", "type": "string"}]}}}]}


def client(path):
    return dict(line.strip().split("=", 1) for line in open(path) if line.strip())


def binding(made, user, operation, resource, name):
    pattern = ResourcePatternType.PREFIXED if name.endswith("*") else ResourcePatternType.LITERAL
    return made(RESOURCES[resource], name.rstrip("*"), pattern, f"User:{user}", "*", OPERATIONS[operation],
                AclPermissionType.ALLOW)


def bindings(made, user, rights):
    return [binding(made, user, *line.split()) for line in open(rights) if line.strip()]


def finish(path, ask):
    admin = AdminClient({**client(path), "log_level": 5})
    return [future.result(30) for future in ask(admin).values()]


def topics(path, *wanted):
    made = [NewTopic(t, int(n), 1) for t, n in (w.split(":") for w in wanted)]
    finish(path, lambda admin: admin.create_topics(made))


def allow(path, user, rights):
    finish(path, lambda admin: admin.create_acls(bindings(AclBinding, user, rights)))


def deny(path, user, rights):
    gone = finish(path, lambda admin: admin.delete_acls(bindings(AclBindingFilter, user, rights)))
    assert all(len(g) == 1 for g in gone), (rights, gone)


def events(first, count, newer):
    """(topic, user, record) of each; a fifth are orders."""
    more = {"campaign": "c"} if newer else {}
    for n in range(first, first + count):
        user, at, product = f"visitor-{n % 40}", int(time.time() * 1000), f"product-{n * 7 % 60}"
        if n % 5 == 0:
            yield "purchases", user, {"at": at, "visitor": user, "lines": [{"pieces": 1, "product": product}], **more}
        else:
            yield "clicks", user, {"at": at, "visitor": user, "page": None, "product": product, **more}


def write(path, url, first, count, ready=None, go=None):
    registry = SchemaRegistryClient({"url": url})
    more = [{"name": "campaign", "type": "string"}] if ready else []
    to_bytes = {t: AvroSerializer(registry, json.dumps({**schema, "fields": more + schema["fields"]}))
                for t, schema in (("clicks", CLICK), ("purchases", ORDER))}
    records = [(topic, user, to_bytes[topic](event, SerializationContext(topic, MessageField.VALUE)))
               for topic, user, event in events(int(first), int(count), ready)]
    if ready:
        open(ready, "w").write("ready\n")
        until = time.time() + 60
        while not os.path.exists(go):
            assert time.time() < until, f"{go} did not come"
            time.sleep(0.05)
    bus, failed = Producer({**client(path), "partitioner": "murmur2_random", "linger.ms": 5}), []
    for topic, user, value in records:
        bus.produce(topic, key=user, value=value, on_delivery=lambda error, _: error and failed.append(error))
        bus.poll(0)
    assert bus.flush(60) == 0 and not failed, failed
    print(f"clicks={sum(t == 'clicks' for t, _, _ in records)} purchases={sum(t == 'purchases' for t, _, _ in records)}")


def read(path, url, topic):
    of_bytes = AvroDeserializer(SchemaRegistryClient({"url": url}))
    consumer = Consumer({**client(path), "group.id": "reader", "isolation.level": "read_committed",
                         "enable.auto.commit": False, "auto.offset.reset": "earliest", "enable.partition.eof": True})
    left = set(consumer.list_topics(topic, 10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, p, 0) for p in left])
    lists, users = 0, set()
    while left:
        message = consumer.poll(30)
        assert message is not None, f"{topic}: no answer"
        if message.error() is not None:
            assert message.error().name() == "_PARTITION_EOF", message.error()
            left.discard(message.partition())
            continue
        record = of_bytes(message.value(), SerializationContext(topic, MessageField.VALUE))
        assert record["user"].encode() == message.key() and record["entries"], record
        lists += 1
        users.add(record["user"])
    consumer.close()
    print(f"lists={lists} users={len(users)}")


def wait(path, group, topic):
    consumer, until = Consumer({**client(path), "group.id": group, "enable.auto.commit": False}), time.time() + 60
    for p in consumer.list_topics(topic, 10).topics[topic].partitions:
        place = TopicPartition(topic, p)
        end = consumer.get_watermark_offsets(place, 10)[1]
        while (at := max(consumer.committed([place], 10)[0].offset, 0)) < end:
            if time.time() > until:
                sys.exit(f"{topic} [{p}]: the group is at {at} of {end} after a minute")
            time.sleep(0.1)
    consumer.close()


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    {"topics": topics, "allow": allow, "deny": deny, "write": write, "read": read, "wait": wait}[command](*rest)
