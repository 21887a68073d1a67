#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: every kind of bad record that a foreign producer can send stands in the dead letters exactly once,
# with its place and its reason; everything else is learned, also out of batches of each codec, records as large
# as the topic takes and tombstones of items; of transactions that were aborted nothing is seen. The worker lives
# and stops when it is told to.
#
# usage: poison.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
python -c 'import fastavro, confluent_kafka'
start_broker

mkdir "$work/schemas"
python "$here/python/poison.py" schemas "$work/schemas"
cat > "$work/worker.yaml" << Y
app: poison
instance: one
kafka: {bootstrap_servers: "$brokers"}
topics:
  clicks: {kind: click}
  purchases: {kind: purchase}
  impressions: {kind: impression}
  views: {kind: click, key: long}
  catalogue: {kind: catalogue}
schemas: {directory: $work/schemas}
state: {path: $work/state}
users: {memory: 8MiB}
items: {max: 5000, vector_length: 4}
metrics: {interval: 1s}
Y
sent=$(python "$here/python/poison.py" send "$brokers" "$millrace" "$work/notes.json") || broken "send"
echo "$sent"
good=${sent#good=} good=${good%% *} bad=${sent#*bad=}
"$millrace" check --config "$work/worker.yaml" --create-topics > "$work/check.log" || broken "$(cat "$work/check.log")"

"$millrace" run --config "$work/worker.yaml" 2> "$work/run.log" &
worker=$!
for ((i = 0; ; i++)); do
  kill -0 "$worker" 2> /dev/null || broken "the worker is dead"
  [ "$("$tool" "$brokers" count poison.dead-letters)" != "records=$bad" ] || break
  [ "$i" -lt 120 ] || broken "not all dead letters came within a minute: $("$tool" "$brokers" count poison.dead-letters), want $bad"
  sleep 0.5
done
begun=$(date +%s%N)
kill -TERM "$worker"
wait "$worker" || broken "the worker ended with exit $?"
worker=
ms=$((($(date +%s%N) - begun) / 1000000))
echo "stopped after $ms ms"
[ "$ms" -lt 10000 ] || broken "the stop took $ms ms"

timeout 60 "$millrace" run --config "$work/worker.yaml" --stop-at-end 2> "$work/rest.log" || broken "the second run"
read -r all learned duplicate <<< "$(counted "$work/rest.log")"
refused=$(sed -n 's/.*counted.* refused=\([0-9]*\).*/\1/p' "$work/rest.log")
echo "counted=$all learned=$learned duplicate=$duplicate refused=$refused"
[ "$learned" = "$good" ] && [ "$duplicate" = 0 ] || broken "want $good learned"
[ "$refused" = "$bad" ] && [ "$all" = "$((good + bad))" ] || broken "want $bad refused of $((good + bad))"
python "$here/python/poison.py" check "$brokers" poison.dead-letters "$work/notes.json" || broken "dead letters"
echo "ok"
