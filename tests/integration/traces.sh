#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: a list carries the W3C trace context of the event that caused it, in a span of its own, whether the event
# is Avro, JSON, a CloudEvent, or came through the repartition topic; of several events the newest; a header
# that is no traceparent is counted and does no harm, and nobody else's list has one. The state is what it is
# without any header.
#
# usage: traces.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
python -c 'import fastavro, confluent_kafka'
start_broker

config() { # APP TOPICS: the configuration of an application that reads these topics
  cat > "$work/$1.yaml" << Y
app: $1
instance: one
kafka: {bootstrap_servers: "$brokers"}
topics:
  clicks: {kind: click, topic: $2clicks}
  moves: {kind: click, topic: $2moves, format: json, repartition: true, mapping: {user: who, item: what, time: at}}
state: {path: $work/$1}
users: {memory: 8MiB}
items: {max: 5000}
lists: {k: 10, interval_ms: 0, explore: 0}
metrics: {interval: 1s}
Y
}
traces() { python "$here/python/traces.py" "$1" "$brokers" "$millrace" "${@:2}"; }
config traced ""
config plain plain.
traces send
for app in traced plain; do
  "$millrace" check --config "$work/$app.yaml" --create-topics > "$work/check.log" || broken "$(cat "$work/check.log")"
  timeout 60 "$millrace" run --config "$work/$app.yaml" --stop-at-end 2> "$work/$app.log" || broken "$app"
done
first=$(traces ask) || broken "$first"
echo "$first"

# One by one, while a worker runs: each list answers the event that came before it.
"$millrace" run --config "$work/traced.yaml" 2> "$work/running.log" &
worker=$!
until_line "$work/running.log" " ready "
found=$(traces follow) || broken "$found"
echo "$found"

traces follow > "$work/again.txt" || broken "$(cat "$work/again.txt")"
kill "$worker" && wait "$worker" || broken "the end"
worker=
counts=$(traces count) || broken "$counts"
echo "$counts"
runs_again again --config "$work/traced.yaml"
echo ok
