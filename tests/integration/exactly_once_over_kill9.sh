#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: a worker that is killed by SIGKILL again and again counts every event once, publishes no older
# list after a newer one, and commits each number once; also from a lost disk.
#
# usage: exactly_once_over_kill9.sh BUILD_DIR [EVENTS] [KILLS]
# Needs Java 17 (and Maven, once): exit 77 where they lack, so that ctest counts it as skipped.
set -euo pipefail
build=$(cd "$1" && pwd)
events=${2:-30000}
kills=${3:-3}
here=$(cd "$(dirname "$0")" && pwd)
millrace=$build/bin/millrace tool=$build/tests/bus_tool
command -v java > /dev/null || { echo "no java: skipped"; exit 77; }
"$here/kafka/kafka.sh" fetch || { echo "no Kafka: skipped"; exit 77; }

work=$(mktemp -d)
export KAFKA_DATA=$work/kafka KAFKA_PORT=${KAFKA_PORT:-$((20000 + $$ % 5000 * 2))} KAFKA_JIT=1
worker=
end() {
  [ -z "$worker" ] || kill -9 "$worker" 2> /dev/null || true
  "$here/kafka/kafka.sh" wipe
  rm -rf "$work"
}
trap end EXIT
broken() {
  echo "BROKEN: $*"
  grep -hE " (error|warning) " "$work"/run*.log | grep -v refused | tail -20 || true
  exit 1
}

brokers=$("$here/kafka/kafka.sh" start)
cat > "$work/worker.yaml" << Y
app: once
instance: one
kafka: {bootstrap_servers: "$brokers"}
topics:
  clicks: {kind: click}
state: {path: $work/state}
users: {memory: 8MiB}
items: {max: 5000}
dedup: {events_max: 20000}
metrics: {interval: 1s}
commit: {events_max: 2000}
Y
"$tool" "$brokers" make clicks 4
"$millrace" check --config "$work/worker.yaml" --create-topics > "$work/check.log" || broken "$(cat "$work/check.log")"

# One event in 500 is cut short: it has to stand in the dead letters, once.
"$tool" "$brokers" clicks clicks "$events" 1000 2000 $((events / (3 * kills + 3))) 500 > "$work/sent.log" &
sender=$!
for ((i = 1; i <= kills; i++)); do
  "$millrace" run --config "$work/worker.yaml" 2> "$work/run$i.log" &
  worker=$!
  sleep "$((2 + RANDOM % 2)).$((RANDOM % 10))"
  kill -9 "$worker" && wait "$worker" 2> /dev/null || [ $? = 137 ] || broken "the worker ended before it was killed"
  worker=
done
wait "$sender"
bad=$(sed -n 's/.*bad=\([0-9]*\).*/\1/p' "$work/sent.log")
good=$((events - bad))

to_the_end() { # NAME: runs to the end of the inputs, prints what was counted
  timeout 120 "$millrace" run --config "$work/worker.yaml" --stop-at-end 2> "$work/run-$1.log" || broken "run to the end, $1"
  sed -n 's/.*counted read=\([0-9]*\) learned=\([0-9]*\) duplicate=\([0-9]*\).*/\1 \2 \3/p' "$work/run-$1.log"
}
check() { # WHAT
  read -r counted learned duplicate <<< "$(to_the_end "$1")"
  echo "$1: sent=$events bad=$bad counted=$counted learned=$learned duplicate=$duplicate"
  [ "$counted" = "$good" ] || broken "$1: want $good counted"
  [ "$duplicate" = 0 ] || broken "$1: events were read twice"
}
check "after $kills kills"
[ "$("$tool" "$brokers" count once.dead-letters)" = "records=$bad" ] || broken "dead letters: want $bad"
"$tool" "$brokers" lists once.lists || broken "lists"
"$tool" "$brokers" epochs once.epochs || broken "commit numbers"

rm -rf "$work/state"
check "after a lost disk"
grep -q 'restored.*base=changelog' "$work/run-after a lost disk.log" || broken "it did not restore from the changelog"
echo "ok"
