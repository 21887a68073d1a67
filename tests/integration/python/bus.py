# SPDX-License-Identifier: Apache-2.0
"""bus: what a foreign program needs to speak to millrace: schemas, framings, a producer, a reader.

Nothing here comes from millrace but the schemas that `millrace schema NAME` prints: fastavro encodes and
decodes, confluent-kafka moves the bytes.
"""
import io
import json
import struct
import subprocess

import fastavro
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form


class Schema:
    """One Avro schema, and its fingerprint as single-object encoding has it: little-endian CRC-64-AVRO."""

    def __init__(self, schema):
        self.parsed = parse_schema(schema)
        crc = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
        self.mark = b"\xc3\x01" + bytes.fromhex(crc)

    def bare(self, record):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self.parsed, record)
        return out.getvalue()

    def single_object(self, record):
        return self.mark + self.bare(record)

    def confluent(self, number, record):
        return b"\0" + struct.pack(">I", number) + self.bare(record)

    def read(self, value):
        assert value[:10] == self.mark, f"mark {value[:10].hex()}, want {self.mark.hex()}"
        stream = io.BytesIO(value[10:])
        record = fastavro.schemaless_reader(stream, self.parsed)
        assert not stream.read(1), "bytes are left over"
        return record


def schema_of(millrace, name):
    return Schema(json.loads(subprocess.check_output([millrace, "schema", name])))


def make_topics(brokers, counts, config=None):
    admin = AdminClient({"bootstrap.servers": brokers})
    topics = [NewTopic(t, n, 1, config=config or {}) for t, n in counts.items()]
    for future in admin.create_topics(topics).values():
        future.result(30)


def producer(brokers, more=None):
    return Producer({"bootstrap.servers": brokers, "enable.idempotence": True, "linger.ms": 5,
                     "partitioner": "murmur2_random", "message.max.bytes": 4000000} | (more or {}))


def read_all(brokers, topic):
    """Every committed message of a topic, partition by partition."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "reader", "isolation.level": "read_committed",
                         "enable.auto.commit": False, "auto.offset.reset": "earliest",
                         "enable.partition.eof": True, "fetch.message.max.bytes": 4000000})
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
    messages, open_partitions = [], set(partitions)
    while open_partitions:
        message = consumer.poll(30)
        assert message is not None, f"{topic}: no answer"
        if message.error() is None:
            messages.append(message)
        else:
            assert message.error().name() == "_PARTITION_EOF", message.error()
            open_partitions.discard(message.partition())
    consumer.close()
    return messages
