#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes vectors.json: what fastavro makes of schemas and records, for the places where avro-c is
no oracle (aliases, defaults, enums by name, string and bytes, logical types, fingerprints).

    pip install fastavro && tests/data/avro/make_vectors.py

Records are written by fastavro with the writer's schema. What is expected is what fastavro reads
with our own .avsc as the reader's schema, or stands here by hand where Avro has no such promotion.
"""
import datetime
import decimal
import io
import json
import pathlib
import uuid

import fastavro

HERE = pathlib.Path(__file__).resolve().parent
SCHEMAS = HERE.parent.parent.parent / "schemas"
UTC = datetime.timezone.utc
NOON = datetime.datetime(2024, 2, 29, 12, 0, 0, 123000, UTC)
NOON_MS = 1709208000123


def record(*fields, name="Foreign", **more):
    return {"type": "record", "name": name, "fields": list(fields), **more}


def field(name, kind, **more):
    return {"name": name, "type": kind, **more}


def logical(kind, logical_type, **more):
    return {"type": kind, "logicalType": logical_type, **more}


USER = field("user", "string")
ITEM = field("item", "string")
TIME = field("time", logical("long", "timestamp-millis"))


def plain(value):
    """A value of fastavro as it stands in the JSON file."""
    if isinstance(value, datetime.datetime):
        return round(value.timestamp() * 1000)
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


def encode(schema, value):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def resolved(kind, schema, value):
    """What a reader with our schema sees."""
    reader = json.loads((SCHEMAS / (kind + ".avsc")).read_text())
    reader["name"] = schema["name"]  # records resolve if their names match; ours do by mapping
    reader = fastavro.parse_schema(reader)
    data = io.BytesIO(encode(schema, value))
    seen = fastavro.schemaless_reader(data, fastavro.parse_schema(schema), reader)
    return {k: plain(v) for k, v in seen.items()}


RECORDS = []


def by_reader(says, kind, schema, value):
    RECORDS.append(dict(says=says, kind=kind, schema=schema, bytes=encode(schema, value).hex(),
                        expect=resolved(kind, schema, value)))


def by_hand(says, kind, schema, value, expect, mapping=None):
    RECORDS.append(dict(says=says, kind=kind, mapping=mapping or {}, schema=schema,
                        bytes=encode(schema, value).hex(), expect=expect))


BASE = {"user": "u1", "item": "i1", "time": NOON}

by_reader("Fields that the writer lacks take the reader's defaults.", "click",
          record(USER, ITEM, TIME), BASE)
by_reader("The reader's aliases find the writer's names.", "click",
          record(field("itemId", "string"), field("userId", "string"), field("ts", "long"),
                 field("sessionId", ["null", "string"])),
          {"itemId": "i1", "userId": "u1", "ts": NOON_MS, "sessionId": "s1"})
by_reader("Fields that the reader does not know are passed over.", "click",
          record(field("a", {"type": "map", "values": ["null", "double"]}), USER,
                 field("b", {"type": "array", "items": {"type": "array", "items": "long"}}), ITEM,
                 field("c", record(field("x", "float"), field("y", ["int", "string"]), name="In")),
                 TIME, field("d", "bytes")),
          {**BASE, "a": {"k": None, "l": 2.5}, "b": [[], [1, -2, 3]], "c": {"x": 1.0, "y": "why"},
           "d": b"\x00\xff"})
by_reader("bytes are read where strings are wanted.", "click",
          record(field("user", "bytes"), field("item", ["null", "bytes"]), TIME),
          {"user": "Jürgen".encode(), "item": b"i1", "time": NOON})
by_reader("int and float are promoted.", "click",
          record(USER, ITEM, TIME, field("position", "int"), field("list_version", "int"),
                 field("propensity", "float"), field("value", "int")),
          {**BASE, "position": 7, "list_version": 12, "propensity": 0.25, "value": 3})
by_reader("Unions resolve by branch, in any order.", "click",
          record(field("user", ["null", "string"]), field("item", ["string", "null"]), TIME,
                 field("session", "string"), field("propensity", ["float", "null"])),
          {**BASE, "session": "s1", "propensity": None})
by_reader("A context is a map, also of nothing.", "click",
          record(USER, ITEM, TIME, field("context", {"type": "map", "values": "string"})),
          {**BASE, "context": {"device": "phone", "Größe": "klein"}})
by_reader("A recursive type is passed over.", "click",
          record(USER, field("tree", record(field("left", ["null", "Tree"]), field("n", "long"),
                                            field("right", ["null", "Tree"]), name="Tree")),
                 ITEM, TIME),
          {**BASE, "tree": {"left": {"left": None, "n": 1, "right": None}, "n": 2,
                            "right": {"left": None, "n": 3, "right": {"left": None, "n": 4,
                                                                      "right": None}}}})
by_reader("Lines have quantities and prices.", "purchase",
          record(USER, TIME, field("lines", {"type": "array", "items": record(
              field("price", ["null", logical("bytes", "decimal", precision=18, scale=4)]),
              ITEM, field("quantity", "int"), name="PurchaseLine")})),
          {"user": "u1", "time": NOON, "lines": [
              {"item": "a", "quantity": 2, "price": decimal.Decimal("19.9900")},
              {"item": "b", "quantity": 1, "price": None},
              {"item": "c", "quantity": 3, "price": decimal.Decimal("-0.0001")}]})
by_reader("A slate has propensities.", "impression",
          record(USER, TIME, field("items", {"type": "array", "items": record(
              ITEM, field("propensity", ["null", "double"]), name="Shown")})),
          {"user": "u1", "time": NOON, "items": [{"item": "a", "propensity": 0.5},
                                                 {"item": "b", "propensity": None}]})
by_reader("A catalogue item has a vector, categories and a price.", "catalogue",
          record(ITEM, TIME, field("vector", {"type": "array", "items": "float"}),
                 field("categories", {"type": "array", "items": "string"}),
                 field("price", logical("bytes", "decimal", precision=18, scale=4)),
                 field("available", "boolean"), field("title", "string")),
          {"item": "i1", "time": NOON, "vector": [0.5, -1.0, 2.25], "categories": ["a", "b"],
           "price": decimal.Decimal("1234.5"), "available": False, "title": "Ein Titel"})
by_reader("Names with a namespace and references to them.", "click",
          record(USER, field("first", {"type": "enum", "name": "E", "symbols": ["A", "B"]}),
                 field("second", "some.place.E"), field("third", ["null", "E"]), ITEM, TIME,
                 namespace="some.place", name="Outer"),
          {**BASE, "first": "A", "second": "B", "third": "B"})

by_hand("An enum is read by its symbol.", "control",
        record(USER, TIME, field("action", {"type": "enum", "name": "Action", "symbols": [
            "forget", "less", "more"]})),
        {"user": "u1", "time": NOON, "action": "less"},
        {"user": "u1", "time": NOON_MS, "action": "less"})
for name in ("timestamp-micros", "timestamp-millis"):
    by_hand("A time in %s becomes milliseconds." % name, "click",
            record(USER, ITEM, field("time", logical("long", name))), BASE,
            {"user": "u1", "item": "i1", "time": NOON_MS})
by_hand("A date becomes the milliseconds of its midnight.", "click",
        record(USER, ITEM, field("time", logical("int", "date"))),
        {**BASE, "time": NOON.date()},
        {"user": "u1", "item": "i1", "time": NOON_MS // 86400000 * 86400000})
by_hand("A local time is taken as UTC.", "click",
        record(USER, ITEM, field("time", logical("long", "local-timestamp-millis"))),
        {**BASE, "time": NOON.replace(tzinfo=None)},
        {"user": "u1", "item": "i1", "time": NOON_MS})
by_hand("A decimal in a fixed.", "cart",
        record(USER, ITEM, TIME, field("price", logical("fixed", "decimal", precision=20, scale=2,
                                                        size=9, name="Money"))),
        {**BASE, "price": decimal.Decimal("-12345678901.25")},
        {"user": "u1", "item": "i1", "time": NOON_MS, "price": -12345678901.25})
by_hand("Ids that are numbers, or UUIDs, become texts.", "click",
        record(field("user", "long"), field("item", logical("string", "uuid")), TIME),
        {"user": -42, "item": uuid.UUID("01234567-89ab-cdef-0123-456789abcdef"), "time": NOON},
        {"user": "-42", "item": "01234567-89ab-cdef-0123-456789abcdef", "time": NOON_MS})
by_hand("Paths lead into records.", "click",
        record(field("who", ["null", record(field("id", "string"), name="Who")]),
               field("what", record(field("sku", "int"), field("name", "string"), name="What")),
               field("at", "double")),
        {"who": {"id": "u1"}, "what": {"sku": 77, "name": "n"}, "at": 1709208000.123},
        {"user": "u1", "item": "77", "time": NOON_MS},
        {"user": {"path": "who.id"}, "item": {"path": "what.sku"},
         "time": {"path": "at", "unit": "s"}})

SCHEMA_TEXTS = ['"int"', '"string"', '"null"', '["null","long"]', '{"type":"long"}',
                '{"type":"array","items":"string"}', '{"type":"map","values":{"type":"bytes"}}',
                '{"name":"millrace.Click","type":"record","fields":[{"name":"user","type":"string"},'
                '{"name":"ts","type":"long"}]}',
                '{"type":"fixed","size":16,"name":"Md5","namespace":"org.example","aliases":["X"]}',
                '{"type":"enum","doc":"d","name":"a.E","symbols":["X","Y"],"default":"X"}',
                '{"type":"record","name":"R","namespace":"a.b","doc":"d","fields":[{"name":"x","type":'
                '{"type":"enum","name":"E","symbols":["S"]},"default":"S"},{"name":"y","type":["null",'
                '"E","R"]}]}',
                '{"type":"record","name":"T","fields":[{"name":"t","type":{"type":"long","logicalType":'
                '"timestamp-millis"},"order":"ignore"},{"name":"n","type":["null","T"]}]}']


def fingerprint(text):
    canonical = fastavro.schema.to_parsing_canonical_form(json.loads(text))
    return dict(schema=text, canonical=canonical,
                fingerprint=fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))


def main():
    texts = SCHEMA_TEXTS + [p.read_text() for p in sorted(SCHEMAS.glob("*.avsc"))]
    vectors = {
        "made by": "make_vectors.py with fastavro " + fastavro.__version__,
        "fingerprints": [fingerprint(t) for t in texts],
        "records": RECORDS,
    }
    (HERE / "vectors.json").write_text(json.dumps(vectors, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
