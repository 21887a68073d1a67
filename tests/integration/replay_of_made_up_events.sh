#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: a replay of made-up events needs no file, leaves the same state and lists from the same seed on one
# lane and on two, others from another seed, and stays within the memory that the configuration allows.
#
# usage: replay_of_made_up_events.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"

replay() { # NAME SEED OPTION...
  local name=$1 seed=$2
  shift 2
  "$millrace" replay --json --no-metrics --set items.max=2000 --set users.memory=8MiB \
    --generate "events=30000,users=6000,items=900,attributes=12,communities=3,engagement=lognormal:1:1,popularity=power:1.8,pace=20000,night=0.3,seed=$seed" \
    "$@" > "$work/$name.json" 2> "$work/$name.log" || broken "replay $name: $(tail -1 "$work/$name.log")"
}

field() { # NAME EXPRESSION
  python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$work/$1.json" "$2"
}

replay one 5 --set lanes=1
replay two 5 --set lanes=2
replay other 6 --set lanes=1
for name in one two other; do
  [ "$(field $name 'r["counters"]["learned"]')" = 30000 ] || broken "$name: not every event was learned"
  [ "$(field $name 'r["memory"]["resident_max_bytes"] < r["memory"]["engine_max_bytes"] + (256 << 20)')" = True ] ||
    broken "$name: $(field $name 'r["memory"]')"
done
hashes='r["state_hash"] + r["lists_hash"]'
[ "$(field one "$hashes")" = "$(field two "$hashes")" ] || broken "two lanes came to another state"
[ "$(field one "$hashes")" != "$(field other "$hashes")" ] || broken "another seed came to the same state"
"$millrace" replay --generate events=5 --kafka 2> "$work/usage.log" && broken "--generate and --kafka were taken together"
grep -q 'want no file, no --kafka, no --as, no --catalogue and no --mapping' "$work/usage.log" || broken "no word about --generate and --kafka"
echo "made-up events: the same from the same seed, $(field one 'r["memory"]["resident_max_bytes"] >> 20') MiB"
