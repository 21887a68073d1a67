#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: a worker with `standby` has the tasks of a killed one up to its last second: it takes them from
# its local copy and reads little, where one without it reads the changelogs whole; nothing is lost.
#
# usage: standby.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
start_broker

config() { # config INSTANCE STANDBY
  cat > "$work/$1.yaml" << Y
app: warm
instance: $1
standby: $2
kafka: {bootstrap_servers: "$brokers", session_timeout: 6s, transaction_timeout: 4s, membership: dynamic}
topics:
  clicks: {kind: click}
state: {path: $work/state-$1}
users: {memory: 16MiB}
items: {max: 20000}
dedup: {events_max: 20000}
commit: {events_max: 4000}
Y
}
await() { # await FILE PATTERN
  for ((i = 0; i < 900; i++)); do
    grep -qE "$2" "$1" 2> /dev/null && return
    sleep 0.1
  done
  broken "$2 did not come"
}
config one 0
config two 4
"$tool" "$brokers" make clicks 4
"$millrace" check --config "$work/one.yaml" --create-topics > "$work/check.log" || broken "$(cat "$work/check.log")"
"$tool" "$brokers" clicks clicks 60000 1000 2000 0 0 > "$work/sent.log"

# Nobody else is there: the first worker learns everything, and holds it.
"$millrace" run --config "$work/one.yaml" --stop-at-end 2> "$work/first.log" || broken "the first run"
"$millrace" run --config "$work/one.yaml" 2> "$work/one.log" &
one=$!
await "$work/one.log" ' rebalance: ready'
"$millrace" run --config "$work/two.yaml" --set log.level=debug 2> "$work/two.log" &
worker=$!
await "$work/two.log" ' standby: follows'
tasks=$(sed -n 's/.* standby: follows tasks=\([0-9]*\).*/\1/p' "$work/two.log" | tail -1)
for ((t = 0; t < tasks; t++)); do await "$work/two.log" "standby: copied .*"; done
await "$work/two.log" 'standby: copied task=[0-9]* rows=0$' # a second round found nothing new
before=$(grep -c 'restored' "$work/two.log")
kill -9 $one
for ((i = 0; i < 300; i++)); do
  [ "$(grep -c 'restored' "$work/two.log")" = $((before + tasks)) ] && break
  sleep 0.1
done
taken=$(grep restored "$work/two.log" | tail -n +$((before + 1)))
echo "$taken" | sed -n 's/.*restored \(task=.*\)/\1/p'
[ "$(grep -c 'base="local copy" .*rows_read=0 ' <<< "$taken")" = "$tasks" ] || broken "want $tasks tasks from a copy that lacks nothing"
await "$work/two.log" 'ready tasks=4'
kill "$worker" && wait "$worker" || broken "the second worker's end"
worker=
timeout 60 "$millrace" run --config "$work/two.yaml" --stop-at-end 2> "$work/last.log" || broken "the last run"
read -r counted learned duplicate <<< "$(counted "$work/last.log")"
echo "counted=$counted learned=$learned duplicate=$duplicate tasks_taken_warm=$tasks"
[ "$counted" = 60000 ] && [ "$duplicate" = 0 ] || broken "want 60000 counted once"
echo ok
