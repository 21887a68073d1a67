#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: a replay of topics learns the same as one of the file that was sent to them: same counts, same
# state, same lists, byte for byte; and a range by offsets or by time holds just its events.
#
# usage: replay_of_topics.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
python -c 'import fastavro, confluent_kafka'
start_broker

cat > "$work/worker.yaml" << Y
app: topics
kafka: {bootstrap_servers: "$brokers"}
topics:
  clicks: {kind: click}
replay: {tasks: 4}
users: {memory: 8MiB}
items: {max: 5000}
dedup: {events_max: 20000}
Y
count=10000
half=$(python "$here/python/clicks.py" "$brokers" "$millrace" "$work/log.csv" clicks 4 $count) || broken "the log"

replay() { # NAME OPTION...
  local name=$1
  shift
  timeout 100 "$millrace" replay --config "$work/worker.yaml" --no-metrics --json "$@" \
    > "$work/$name.json" 2> "$work/$name.log" || broken "replay of $name: $(tail -3 "$work/$name.log")"
}
value() { sed -n "s/.*\"$2\": \"\{0,1\}\([0-9a-f]*\).*/\1/p" "$work/$1.json" | head -1; }
learned() { # NAME WANT
  echo "$1: learned=$(value "$1" learned) of $2, state $(value "$1" state_hash)"
  [ "$(value "$1" learned)" = "$2" ] || broken "$1: want $2 learned"
}

replay file "$work/log.csv"
replay topics --kafka
learned file $count
learned topics $count
for what in state_hash lists_hash; do
  [ -n "$(value file $what)" ] && [ "$(value file $what)" = "$(value topics $what)" ] || broken "$what differs"
done

iso=$(date -u -d "@$((half / 1000)).$(printf %03d $((half % 1000)))" +%Y-%m-%dT%H:%M:%S.%3NZ)
replay before --kafka --to "$iso"
learned before $((count / 2))
replay after --kafka --from "$iso" --to end
learned after $((count / 2))
replay offsets --kafka --from 100 --to 350
learned offsets 1000
replay beyond --kafka --from beginning --to 999999999
learned beyond $count
[ "$(value beyond state_hash)" = "$(value topics state_hash)" ] || broken "the whole range has another state"

expect_fail empty "no event that could be read" "$millrace" replay --config "$work/worker.yaml" --kafka --from 2100-01-01
status=0
"$millrace" replay --config "$work/worker.yaml" --kafka --from yesterday > "$work/usage.log" 2>&1 || status=$?
[ "$status" = 2 ] && grep -q "want an offset" "$work/usage.log" || broken "a wrong range: exit $status, $(cat "$work/usage.log")"
echo "ok"
