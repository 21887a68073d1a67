#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: a worker that is killed by SIGKILL three times while it works counts every event once, publishes
# no older list after a newer one, and commits each number once; also from a lost disk. The whole history,
# run again from its epoch log, comes to the same.
#
# With MILLRACE_DATA (a folder with globo/sample.csv.gz) `millrace produce` sends that real log at full
# speed, and bad records come from a second producer; otherwise all events are made up.
#
# usage: exactly_once_over_kill9.sh BUILD_DIR [KILLS]
BUILD=$1
. "$(dirname "$0")/lib.sh"
kills=${2:-3}
start_broker

cat > "$work/worker.yaml" << Y
app: once
instance: one
kafka: {bootstrap_servers: "$brokers"}
topics:
  clicks: {kind: click}
state: {path: $work/state}
users: {memory: 16MiB}
items: {max: 20000}
dedup: {events_max: 20000}
metrics: {interval: 1s}
commit: {events_max: 4000}
Y
"$tool" "$brokers" make clicks 4
"$millrace" check --config "$work/worker.yaml" --create-topics > "$work/check.log" || broken "$(cat "$work/check.log")"

# One event in so many of the made-up ones is cut short: it has to stand in the dead letters, once.
log=${MILLRACE_DATA:-}/globo/sample.csv.gz
produced=0
if [ -n "${MILLRACE_DATA:-}" ] && [ -f "$log" ]; then
  what="the real log" made_up=5000 one_in=50 rate=500
  "$millrace" produce --config "$work/worker.yaml" --json "$log" > "$work/produced.json" 2> "$work/produced.log" &
  real=$!
else
  echo "MILLRACE_DATA has no globo/sample.csv.gz: the part with the real log is skipped"
  what="made-up events" made_up=60000 one_in=500 rate=6000 real=
fi
"$tool" "$brokers" clicks clicks "$made_up" 1000 2000 "$rate" "$one_in" > "$work/sent.log" &
sender=$!

for ((i = 1; i <= kills; i++)); do
  "$millrace" run --config "$work/worker.yaml" 2> "$work/run$i.log" &
  worker=$!
  for ((wait = 0; wait < 600; wait++)); do
    grep -q ' rebalance: ready' "$work/run$i.log" && break
    sleep 0.05
  done
  sleep "$((1 + RANDOM % 2)).$((RANDOM % 10))"
  kill -9 "$worker" && wait "$worker" 2> /dev/null || [ $? = 137 ] || broken "the worker ended before it was killed"
  worker=
done
wait "$sender"
if [ -n "$real" ]; then
  wait "$real" || broken "produce: $(cat "$work/produced.log")"
  produced=$(sed -n 's/.*"events": \([0-9]*\).*/\1/p' "$work/produced.json" | head -1)
  echo "produce: $(tr -d '\n ' < "$work/produced.json")"
fi
bad=$(sed -n 's/.*bad=\([0-9]*\).*/\1/p' "$work/sent.log")
sent=$((produced + made_up))
good=$((sent - bad))

run_to_the_end() { # NAME
  timeout 200 "$millrace" run --config "$work/worker.yaml" --stop-at-end 2> "$work/$1.log" || broken "run to the end, $1"
  read -r counted learned duplicate <<< "$(counted "$work/$1.log")"
  echo "$1: sent=$sent ($what: $produced, made up: $made_up) bad=$bad counted=$counted learned=$learned duplicate=$duplicate"
  [ "$counted" = "$sent" ] || broken "$1: want $sent counted"
  [ "$learned" = "$good" ] || broken "$1: want $good learned"
  [ "$duplicate" = 0 ] || broken "$1: events were read twice"
}
run_to_the_end "after $kills kills"
sed -n 's/.*restored task=\([0-9]*\).*seq=\([0-9]*\) rows_read=\([0-9]*\).*/restored: task=\1 seq=\2 rows_read=\3/p' "$work/after $kills kills.log"
[ "$("$tool" "$brokers" count once.dead-letters)" = "records=$bad" ] || broken "dead letters: want $bad"
"$tool" "$brokers" lists once.lists || broken "lists"
"$tool" "$brokers" epochs once.epochs || broken "commit numbers"
for topic in once.user-rows once.item-rows; do
  found=$("$tool" "$brokers" markers $topic) || broken "commit numbers in $topic: $found"
  echo "$topic: $found"
done

rm -rf "$work/state"
run_to_the_end "after a lost disk"
grep -q 'restored.*base=changelog' "$work/after a lost disk.log" || broken "it did not restore from the changelog"
runs_again "the whole history" --config "$work/worker.yaml"
[ "$(again "the whole history" events)" = "$sent" ] || broken "want $sent events"
echo "ok"
