#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: what users say acts on their very next list, also where the worker was killed before it read it:
# what is muted is in no list, what is wanted stands first, who is forgotten has no row, and a tombstone in
# place of his list. All of it is run again from the epoch log, byte for byte.
#
# usage: wishes.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
python -c 'import fastavro, confluent_kafka'
start_broker

cat > "$work/worker.yaml" << Y
app: wishing
instance: one
kafka: {bootstrap_servers: "$brokers"}
topics:
  clicks: {kind: click}
  catalogue: {kind: catalogue}
  wishes: {kind: control}
state: {path: $work/state}
users: {memory: 8MiB}
items: {max: 5000}
lists: {k: 10, interval_ms: 100ms, explore: 0}
rules:
  control: {eta: 10}
Y
wishes() { python "$here/python/wishes.py" "$1" "$brokers" "$millrace" "${@:2}"; }
wishes click
"$millrace" check --config "$work/worker.yaml" --create-topics > "$work/check.log" || broken "$(cat "$work/check.log")"
timeout 60 "$millrace" run --config "$work/worker.yaml" --stop-at-end 2> "$work/clicks.log" || broken "the clicks"
"$millrace" inspect "$work/state" user user-2 > "$work/before.txt" || broken "user-2 has no row"
wishes say wishing "$work/said.json"
"$millrace" run --config "$work/worker.yaml" 2> "$work/killed.log" &
worker=$!
until_line "$work/killed.log" " ready "
kill -9 "$worker" && wait "$worker" 2> /dev/null || [ $? = 137 ] || broken "the worker ended before it was killed"
worker=
timeout 60 "$millrace" run --config "$work/worker.yaml" --stop-at-end 2> "$work/rest.log" || broken "the run after the kill"
found=$(wishes check wishing "$work/said.json") || broken "$found"
echo "$found"
expect_fail forgotten "user-2" "$millrace" inspect "$work/state" user user-2
"$millrace" inspect "$work/state" user user-0 > "$work/after.txt" || broken "user-0 has no row"
"$millrace" inspect "$work/state" verify > "$work/verify.txt" || broken "$(cat "$work/verify.txt")"
runs_again again --config "$work/worker.yaml"
echo "ok"
