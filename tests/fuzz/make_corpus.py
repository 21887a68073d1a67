#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first corpus of the fuzz targets from the recorded vectors and our own schemas. What a
fuzzer finds is added by hand, under a name that says what it was."""
import gzip
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
KINDS = ["click", "cart", "purchase", "impression", "rating", "search", "catalogue", "control"]
VECTORS = json.loads((ROOT / "tests/data/avro/vectors.json").read_text())


def write(target, name, data):
    path = HERE / "corpus" / target
    path.mkdir(parents=True, exist_ok=True)
    (path / name).write_bytes(data)


def number(value):
    value = value << 1 ^ value >> 63
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def text(value):
    return number(len(value)) + value


def plan():
    some, none, time, user, item = number(1), number(0), number(1700000000000), text(b"u1"), text(b"i1")
    context = number(1) + text(b"device") + text(b"phone") + none
    line = item + b"\0\0\0\0\0\0\0\x40" + some + text(b"\x07\xcf")
    shown = item + some + b"\0\0\0\0\0\0\xe0\x3f"
    records = {
        "click": some + text(b"e1") + user + item + time + some + text(b"s1") + some + text(b"l1")
                 + some + number(3) + some + number(0) + some + b"\0\0\0\0\0\0\xe0\x3f" + none + context,
        "cart": none + user + item + time + none + b"\0\0\0\0\0\0\xf0\x3f" + some + text(b"\x07\xcf")
                + none * 4 + context,
        "purchase": none + user + time + none + number(2) + line * 2 + none + none + none + context,
        "impression": none + user + time + none + number(-1) + number(len(shown)) + shown + none
                      + some + text(b"l1") + some + number(3) + context,
        "rating": none + user + item + time + b"\0\0\0\0\0\0\x12\x40" + none + context,
        "search": none + user + time + none + text("größe".encode()) + context,
        "catalogue": item + time + some + text(b"title") + number(2) + text(b"a") + text(b"b") + none
                     + none + b"\1" + some + number(2) + b"\0\0\x80\x3f" * 2 + none + context,
        "control": none + user + time + text(b"mute") + some + text(b"i9") + none + context,
    }
    for kind, record in records.items():
        write("fuzz_plan", kind, bytes([KINDS.index(kind)]) + record)
    tree = some + none + number(1) + (none + none) + none
    write("fuzz_plan", "odd", bytes([len(KINDS)]) + tree + number(1000) + none
          + number(2) + text(b"k") + number(1) + none + none + text(b"l") + number(3) + text(b"v") + none
          + number(0) + number(-77) + bytes(range(16)) + some
          + number(2) + text(b"n") + some + number(5) + text(b"m") + number(2) + b"\1" + none
          + text(b"\xff\x01") + number(-1) + number(2) + number(1) + number(1 << 30) + none
          + number(1) + text(b"a") + text(b"\xff") + none + number(1) + b"\0\0\0\0" + none
          + number(1) + number(2) + none + number(9) + number(1) + text(b"c") + none)


def schemas():
    for vector in VECTORS["records"]:
        name = "_".join(vector["says"].lower().replace(".", "").split()[:6])
        write("fuzz_schema", name, json.dumps(vector["schema"]).encode() + b"\0"
              + bytes.fromhex(vector["bytes"]))
    for index, vector in enumerate(VECTORS["fingerprints"][:12]):
        write("fuzz_schema", "fingerprint_%d" % index, vector["schema"].encode())


def frames():
    write("fuzz_frame", "confluent_id", b"\0" + b"\0\0\0\0\x11" + b"record")
    write("fuzz_frame", "confluent_guid", b"\0" + b"\1" + bytes(range(16)) + b"record")
    write("fuzz_frame", "single_object", b"\0" + b"\xc3\1" + bytes(range(8)) + b"record")
    write("fuzz_frame", "header_id", b"\5" + b"\0\0\0\0\x11" + b"record")
    write("fuzz_frame", "header_guid", b"\x11" + b"\1" + bytes(range(16)) + b"record")
    write("fuzz_frame", "empty", b"\0")


def files():
    for path in sorted((ROOT / "tests/data/avro").glob("*.avro")):
        write("fuzz_input", path.stem, b"\0" + path.read_bytes())
    rows = (b"timestamp_ms,user,item,type,value,session,position,propensity\n"
            b"1000,u1,i1,click,,s1,2,0.25\n2000,\"u,1\",\"i\"\"2\",rating,4.5,,,\r\n\n3000,u2,i3,impression,,,0,.5")
    write("fuzz_input", "rows", b"\0" + rows)
    write("fuzz_input", "rows_gzip", b"\0" + gzip.compress(rows, mtime=0))
    write("fuzz_input", "rows_mapped", b"\1a,b,context.c,categories\nu1,i1,x,a|b\n")


def foreign():
    # The first byte is the mapping's index in the order of their names.
    names = sorted(p.stem for p in (ROOT / "schemas/mappings").glob("*.yaml"))
    rows = {
        "globo": b"user_id,session_id,click_article_id,click_timestamp,click_deviceGroup,click_region\n"
                 b"0,15,157,1506826828020,3,20\n0,15,158,x,3,20\n1,2\n",
        "movielens": b"userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n2,10,4,835355493\n2,,4,\n",
        "movielens_100k": b"7\t50\t5\t881250949\n8\t51\t3\t881250940\n\n9\t1\n",
        "open_bandit": b",timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1,"
                       b"user_feature_2,user_feature_3\n0,2019-11-24 00:00:10.004659+00:00,14,3,1,0.02,a,b,c,d\n"
                       b"1,2019-11-24T00:00-0530,14,3,2,0.02,,,,\n",
        "otto": b'{"session": 1, "events": [{"aid": 5, "ts": 1661724000278, "type": "clicks"}, 7, '
                b'{"aid": "x", "ts": 1, "type": "orders"}]}\n{"session": 2, "events": []}\n{"events": 3}\n{',
        "retailrocket": b"timestamp,visitorid,event,itemid,transactionid\n1433221332117,257,view,355,\n"
                        b"1,257,transaction,355,4\n",
        "sessions": b"session_id,item_id,timestamp,event_type\ns1,\"i\"\"1\",2026-01-31T12:30:00.5Z,view\n"
                    b"s1,i1,2024-02-29,order\n",
        "taobao": b"1,11,500,pv,1511544070\n1,12,500,fav,1511544060\n1,13,501,buy,1511544050.5\n",
        "yoochoose_buys": b"420,2014-04-06T18:44:58.314Z,216,12462,2\n",
        "yoochoose_clicks": b"1,2014-04-07T10:51:09.277Z,214,0\n1,2014-04-07,215,S\r\n",
    }
    for name in names:
        write("fuzz_foreign", name, bytes([names.index(name)]) + rows[name])


if __name__ == "__main__":
    plan()
    schemas()
    frames()
    files()
    foreign()
