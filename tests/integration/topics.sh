#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: topics that a pattern matches are read, also those that appear while workers run, each event counted
# once: read directly beside a lead, where they have its partitions, and through the repartition topic, whatever
# they have. A topic that cannot be read is named and does no harm. A worker that does not know a topic yet which
# another one has copied or read waits for it or begins again, and refuses nothing.
#
# usage: topics.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
start_broker

config() { # NAME: of the worker
  cat > "$work/$1.yaml" << Y
app: matching
instance: $1
kafka: {bootstrap_servers: "$brokers", session_timeout: 12s}
start: latest
topics:
  clicks: {kind: click}
  direct: {kind: click, topic: "^direct\\\\..*"}
  copied: {kind: click, topic: "^copied\\\\.", repartition: true}
state: {path: $work/$1}
users: {memory: 8MiB}
items: {max: 5000}
dedup: {events_max: 1} # nothing that is read twice is found by it
metrics: {interval: 1s}
Y
}
send() { "$tool" "$brokers" clicks "$1" 1500 300 200 "$2" 0 once "$3" > "$work/sent.log"; } # TOPIC RATE FIRST
config one
config two
"$tool" "$brokers" make clicks 3
"$tool" "$brokers" make direct.a 3
"$tool" "$brokers" make copied.a 2
expect_fail alone "topics of a pattern cannot be the lead.*set topics.direct.repartition: true" \
  "$millrace" run --set app=alone --set "kafka.bootstrap_servers=$brokers" --set topics.direct.kind=click \
  --set 'topics.direct.topic=^direct'
"$millrace" check --config "$work/one.yaml" --create-topics > "$work/check.log" || broken "$(cat "$work/check.log")"
grep -q "copied: ^copied.* matches 1 topics" "$work/check.log" || broken "check: $(cat "$work/check.log")"
timeout 60 "$millrace" run --config "$work/one.yaml" --stop-at-end 2> "$work/born.log" || broken "the first start"

# Two workers; topics come, one after the other, with records in them before they are found.
# They look at what there is some seconds apart, so that one copies what the other does not know yet.
for name in one two; do
  "$millrace" run --config "$work/$name.yaml" 2> "$work/$name.log" &
  eval "$name=$!"
  trap 'kill -9 ${one:-} ${two:-} 2> /dev/null || true; end' EXIT
  until_line "$work/$name.log" ' rebalance: ready'
  [ "$name" = two ] || sleep 4
done
send clicks 0 0
send direct.a 0 1500
send copied.a 0 3000
"$tool" "$brokers" make direct.b 3
send direct.b 0 4500
"$tool" "$brokers" make copied.b 5
send copied.b 0 6000
"$tool" "$brokers" make direct.wrong 2
send direct.wrong 0 90000
for name in one two; do
  until_line "$work/$name.log" "topics: appeared: beginning again with it"
  until_line "$work/$name.log" "topics: not read: .*topic=direct.wrong.*partitions=2 wanted=3"
done
send direct.b 0 7500
send copied.b 0 9000

# Until all is counted once. The workers tell at their ends, so they end, and the rest is read by one of them.
for ((i = 0; ; i++)); do
  [ "$("$tool" "$brokers" count matching.repartition)" != "records=4500" ] || break
  [ "$i" -lt 60 ] || broken "copies: $("$tool" "$brokers" count matching.repartition), want 4500"
  sleep 1
done
sleep 2
kill "$one" "$two"
wait "$one" || broken "worker one: exit $?"
wait "$two" || broken "worker two: exit $?"
sed -i 's/^kafka:.*/kafka: {bootstrap_servers: "'"$brokers"'", membership: dynamic}/' "$work/one.yaml"
timeout 100 "$millrace" run --config "$work/one.yaml" --stop-at-end 2> "$work/rest.log" || broken "the rest: $(tail -2 "$work/rest.log")"
read -r counted learned duplicate <<< "$(counted "$work/rest.log")"
echo "counted=$counted learned=$learned duplicate=$duplicate"
[ "$counted" = 10500 ] && [ "$learned" = 10500 ] || broken "want 10500 of seven times 1500"
[ "$("$tool" "$brokers" count matching.dead-letters)" = "records=0" ] || broken "dead letters"
runs_again again --config "$work/one.yaml"
echo ok
