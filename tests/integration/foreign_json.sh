#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: a topic of JSON whose records are several events, or none, is plugged in by its configuration: a
# replay of it learns what one of a file of the same events learns, byte for byte; a worker that is killed
# by SIGKILL on the way learns each event once; what it did runs again from the epoch log.
#
# usage: foreign_json.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
python -c 'import fastavro, confluent_kafka'
start_broker

cat > "$work/worker.yaml" << Y
app: beacons
kafka: {bootstrap_servers: "$brokers", transaction_timeout: 40s}
topics:
  beacons:
    kind: mapped
    format: json
    mapping:
      each: acts
      kind: acts.what 'Product Viewed'=click 'Product Saved'=cart
      where: test not true
      item: acts.sku
      time: sent iso
      event_id: id
replay: {tasks: 4}
state: {path: $work/state}
users: {memory: 8MiB}
items: {max: 5000}
dedup: {events_max: 40000}
commit: {events_max: 1000, interval_max: 50ms}
metrics: {interval: 1s}
Y
read -r records events < <(python "$here/python/beacons.py" "$brokers" "$work/log.csv" beacons 4 12000) || broken "the log"
echo "$records records are $events events"

replay() { # NAME OPTION...
  local name=$1
  shift
  timeout 100 "$millrace" replay --config "$work/worker.yaml" --no-metrics --json "$@" \
    > "$work/$name.json" 2> "$work/$name.log" || broken "replay of $name: $(tail -3 "$work/$name.log")"
  echo "$name: learned=$(again "$name" learned), state $(again "$name" state_hash)"
  [ "$(again "$name" learned)" = "$events" ] || broken "$name: want $events learned"
}
replay file "$work/log.csv"
replay topics --kafka
for what in state_hash lists_hash; do
  [ -n "$(again file $what)" ] && [ "$(again file $what)" = "$(again topics $what)" ] || broken "$what differs"
done

"$millrace" infer --topic beacons --set "kafka.bootstrap_servers=$brokers" > "$work/infer.yaml" || broken "infer"
for line in "kind: acts.what 'Product Viewed'=click" 'each: acts ' 'item: acts.sku '; do
  grep -q -- "$line" "$work/infer.yaml" || broken "infer does not say '$line': $(cat "$work/infer.yaml")"
done

sed "s/sent iso/sent s/" "$work/worker.yaml" > "$work/wrong.yaml"
! "$millrace" check --config "$work/wrong.yaml" --connect > "$work/wrong.log" || broken "check takes a wrong mapping"
grep -q "WRONG   beacons: beacons: .* records cannot be read: field 'sent' .*infer --topic beacons" "$work/wrong.log" \
  || broken "check of a wrong mapping: $(cat "$work/wrong.log")"
"$millrace" check --config "$work/worker.yaml" --create-topics > "$work/check.log" || broken "$(cat "$work/check.log")"
grep -q "ok      beacons: beacons: kind, where or each leave out" "$work/check.log" || broken "check: $(cat "$work/check.log")"
"$millrace" run --config "$work/worker.yaml" 2> "$work/first.log" &
worker=$!
until_line "$work/first.log" ' window records=[1-9]'
kill -9 "$worker" && wait "$worker" 2> /dev/null || [ $? = 137 ] || broken "the worker ended before it was killed"
worker=
timeout 100 "$millrace" run --config "$work/worker.yaml" --stop-at-end 2> "$work/second.log" || broken "the second run"
read -r read learned duplicate <<< "$(counted "$work/second.log")"
echo "worker: read=$read learned=$learned duplicate=$duplicate"
[ "$read" = "$events" ] && [ "$learned" = "$events" ] && [ "$duplicate" = 0 ] || broken "want each of $events events once"
runs_again again --config "$work/worker.yaml"
echo "ok"
