#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes clicks-CODEC.avro: the same seven clicks in container files of each codec, two blocks or
more, by fastavro.

    pip install fastavro cramjam zstandard && tests/data/avro/make_files.py
"""
import json
import pathlib

import fastavro

HERE = pathlib.Path(__file__).resolve().parent
SCHEMA = json.loads((HERE.parent.parent.parent / "schemas/click.avsc").read_text())
FOREIGN = {"type": "record", "name": "shop.View", "fields": [
    {"name": "visitor", "type": "long"},
    {"name": "product", "type": {"type": "record", "name": "Product", "fields": [
        {"name": "sku", "type": "string"}, {"name": "price", "type": "double"}]}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}}]}


def clicks():
    for i in range(7):
        yield {"event_id": "e%d" % i, "user": "u%d" % (i % 3), "item": "i%d" % i,
               "time": 1700000000000 + 1000 * i, "session": None if i % 2 else "s%d" % i,
               "position": i, "context": {"device": "phone" * 20}}


def views():
    for i in range(3):
        yield {"visitor": 100 + i, "product": {"sku": "p%d" % i, "price": 9.5 + i},
               "at": 1700000000000000 + i}


def main():
    marker = bytes(range(16))
    for codec in ("null", "deflate", "snappy", "zstandard", "bzip2", "xz"):
        with open(HERE / ("clicks-%s.avro" % codec), "wb") as out:
            fastavro.writer(out, fastavro.parse_schema(SCHEMA), clicks(), codec=codec,
                            sync_interval=400, sync_marker=marker)
    with open(HERE / "views.avro", "wb") as out:
        fastavro.writer(out, fastavro.parse_schema(FOREIGN), views(), sync_marker=marker)


if __name__ == "__main__":
    main()
