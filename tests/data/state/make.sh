#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a state folder of this release's format, small, for the test that later releases have to pass:
#
#   tests/data/state/make.sh build/release/bin/millrace tests/data/state/format-1.tar.gz
#
# Made once for each format, by the last release that writes it, and never again: what it holds, and what
# tests/unit/worker/test_migration.c expects of it, is printed at the end.
set -euo pipefail
millrace=$1 out=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Two days of 24 users and 40 items: every kind of act, ids on some, slates with propensities.
awk 'BEGIN {
    print "timestamp_ms,user,item,type,value,session,position,propensity"
    n = split("click click click cart purchase rating impression click", kinds, " ")
    for (i = 0; i < 600; i++) {
        user = (i * 7) % 24; item = (i * 11 + int(i / 24)) % 40; kind = kinds[i % n + 1]
        printf "%.0f,user-%d,item-%d,%s,%s,s%d,%s,%s\n", 1700000000000 + i * 288000, user, item, kind,
            kind == "rating" ? 1 + i % 5 : "", i / 50, kind == "impression" ? i % 10 : "",
            kind == "impression" ? 0.25 : ""
    }
}' > "$work/events.csv"

settings=(--set app=kept --set replay.tasks=3 --set items.max=1000 --set users.memory=16MiB
    --set models.embedding.dim=8)
"$millrace" replay --no-metrics "${settings[@]}" --out "$work/out" "$work/events.csv" > /dev/null
"$millrace" backup "${settings[@]}" --set "state.path=$work/out/state" --out "$work/state" > /dev/null
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$work" -cf - state/data.mdb state/backup |
    gzip -9n > "$out"
"$millrace" inspect "$work/state" summary
ls -l "$out"
