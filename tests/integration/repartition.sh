#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: inputs whose partitions are not the users' (3 without keys, 4 under crc32, beside a lead of 4 under
# murmur2) are found by check, which says the line that mends it; through the repartition topic every event is
# counted once, each user in one task, over two SIGKILLs; dead letters name the record where it came from.
# In a build with fail points the SIGKILLs are four, in the middle of the stage's transactions.
# Then the same of an application that has all of its inputs go through the topic, on two workers of which one
# is killed. Both histories are run again from their epoch logs.
#
# usage: repartition.sh BUILD_DIR [EVENTS]
BUILD=$1
. "$(dirname "$0")/lib.sh"
events=${2:-40000}
python -c 'import fastavro, confluent_kafka'
start_broker

write_config() { # PARTITIONER VIEWS CARTS: what they add to the inputs
  cat > "$work/worker.yaml" << Y
app: split
instance: one
kafka: {bootstrap_servers: "$brokers"}
partitioner: $1
topics:
  clicks: {kind: click}
  views: {kind: click$2}
  carts: {kind: cart$3}
state: {path: $work/state}
users: {memory: 8MiB}
items: {max: 5000}
metrics: {interval: 1s}
commit: {events_max: 4000}
Y
}
check() { "$millrace" check --config "$work/worker.yaml" "$@" > "$work/check.log"; }
says() { grep -q -- "$1" "$work/check.log" || broken "check does not say '$1': $(cat "$work/check.log")"; }
through=', repartition: true'

# A first part of the traffic, for check to look at.
write_config murmur2 "" ""
python "$here/python/repartition.py" send "$brokers" "$millrace" "$work/notes.json" "$events" 1000 > "$work/sent.log" &
sender=$!
for ((i = 0; ; i++)); do
  check --connect || true
  ! grep -q 'carts.*written with' "$work/check.log" || break
  [ "$i" -lt 60 ] || broken "check: $(cat "$work/check.log")"
  sleep 0.5
done
says '^ok      clicks: .* by user with murmur2'
says '^WRONG   views: views has 3 partitions, the lead clicks has 4; set topics.views.repartition: true'
says '^WRONG   carts: carts was written with crc32, the other inputs with murmur2 .*; set topics.carts.repartition: true'
expect_fail "refused" "topics.views.repartition: true mends that" "$millrace" run --config "$work/worker.yaml"
write_config crc32 "$through" "$through"
! check --connect || broken "check takes clicks under crc32"
says '^WRONG   partitioner: .*; set partitioner: murmur2'
write_config murmur2 "$through" "$through"
check --create-topics || broken "check: $(cat "$work/check.log")"
says '^ok      views: views, 3 partitions, through split.repartition'

kills=("" "") # where; nowhere in particular
! grep -q MILLRACE_FAILPOINT "$millrace" ||
  kills=(copies-sent:3:kill copies-offsets-sent:3:kill copies-offsets-sent:3:kill:2 copies-committed:3:kill)
for i in "${!kills[@]}"; do
  MILLRACE_FAILPOINT=${kills[i]} "$millrace" run --config "$work/worker.yaml" 2> "$work/run$i.log" &
  worker=$!
  if [ -n "${kills[i]}" ]; then
    until_line "$work/run$i.log" '^failpoint '
  else
    until_line "$work/run$i.log" ' rebalance: ready'
    sleep "$((1 + RANDOM % 2)).$((RANDOM % 10))"
    kill -9 "$worker"
  fi
  status=0
  wait "$worker" 2> /dev/null || status=$?
  [ "$status" = 137 ] || broken "the worker ended before it was killed"
  worker=
done
wait "$sender" || broken "send: $(cat "$work/sent.log")"
sent=$(cat "$work/sent.log")
good=${sent#good=} good=${good%% *} bad=${sent#*bad=}

timeout 200 "$millrace" run --config "$work/worker.yaml" --stop-at-end 2> "$work/rest.log" || broken "the third run"
read -r all learned duplicate <<< "$(counted "$work/rest.log")"
echo "$sent counted=$all learned=$learned duplicate=$duplicate"
[ "$all" = "$((good + bad))" ] && [ "$learned" = "$good" ] && [ "$duplicate" = 0 ] || broken "want $good learned, each once"
found=$(python "$here/python/repartition.py" check "$brokers" split "$work/notes.json" views carts) || broken "$found"
echo "$found"
"$millrace" inspect "$work/state" verify > "$work/verify.log" || broken "verify: $(cat "$work/verify.log")"
sed -n 's/.*repartition: window \(.*\)/repartition: \1/p' "$work/rest.log" | head -3

# Once more there is nothing to do.
timeout 100 "$millrace" run --config "$work/worker.yaml" --stop-at-end 2> "$work/again.log" || broken "the fourth run"
[ "$(counted "$work/again.log")" = "$all $learned $duplicate" ] || broken "a start without news counted something"

# Every input through the topic, which then has the tasks; two workers, of which one is killed.
for i in a b; do
  cat > "$work/$i.yaml" << Y
app: whole
instance: $i
kafka: {bootstrap_servers: "$brokers", session_timeout: 6s, transaction_timeout: 4s}
topics:
  clicks: {kind: click, repartition: true}
  views: {kind: click, repartition: true}
  carts: {kind: cart, repartition: true}
repartition: {partitions: 5, records_max: 100}
state: {path: $work/state-$i}
users: {memory: 8MiB}
items: {max: 5000}
metrics: {interval: 1s}
Y
done
"$millrace" check --config "$work/a.yaml" --create-topics > "$work/check.log" || broken "check: $(cat "$work/check.log")"
says '^ok      whole.lists: made, 5 partitions'
"$millrace" run --config "$work/a.yaml" 2> "$work/a.log" &
worker=$!
until_line "$work/a.log" ' rebalance: assigned'
"$millrace" run --config "$work/b.yaml" 2> "$work/b.log" &
other=$!
until_line "$work/b.log" ' repartition: window'
kill -9 "$worker" && wait "$worker" 2> /dev/null || [ $? = 137 ] || broken "worker a ended before it was killed"
worker=$other
until_line "$work/b.log" 'assigned.*tasks=5 group=whole$'
kill -TERM "$worker" && wait "$worker" || broken "the stop of worker b"
worker=
timeout 200 "$millrace" run --config "$work/b.yaml" --stop-at-end 2> "$work/b2.log" || broken "worker b to the end"
read -r all learned duplicate <<< "$(counted "$work/b2.log")"
echo "two workers: counted=$all learned=$learned duplicate=$duplicate"
[ "$all" = "$((good + bad))" ] && [ "$learned" = "$good" ] && [ "$duplicate" = 0 ] || broken "want $good learned, each once"
found=$(python "$here/python/repartition.py" check "$brokers" whole "$work/notes.json" clicks views carts) || broken "$found"
echo "$found"
runs_again "some through the topic" --config "$work/worker.yaml"
runs_again "all through the topic" --config "$work/a.yaml"
echo "ok"
