#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: under users.pseudonym.key_file a user's raw id stands nowhere: not in the state folder, not in any
# topic of ours, bad records and all, not in what the worker logs; and lists are keyed by the names that
# whoever has the key can make.
#
# usage: pseudonyms.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
command -v kcat > /dev/null || skip "no kcat"
python -c 'import fastavro, confluent_kafka'
start_broker

head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$work/key"
cat > "$work/worker.yaml" << Y
app: secret
instance: one
kafka: {bootstrap_servers: "$brokers"}
topics:
  clicks: {kind: click}
  wishes: {kind: control}
state: {path: $work/state}
users: {memory: 8MiB, pseudonym: {key_file: $work/key}}
items: {max: 5000}
lists: {k: 10, interval_ms: 100ms}
metrics: {interval: 1s}

Y
sent=$(python "$here/python/raw_ids.py" send "$brokers" "$millrace") || broken "send"
echo "$sent"
good=${sent#good=} good=${good%% *} bad=${sent#*bad=}
"$millrace" check --config "$work/worker.yaml" --create-topics > "$work/check.log" 2>&1 || broken "$(cat "$work/check.log")"
timeout 60 "$millrace" run --config "$work/worker.yaml" --stop-at-end > "$work/run.log" 2>&1 || broken "the run"
read -r all learned _ <<< "$(counted "$work/run.log")"
[ "$all $learned" = "$((good + bad)) $good" ] || broken "counted $all, learned $learned: want $((good + bad)) and $good"
"$millrace" dead-letters --config "$work/worker.yaml" > "$work/letters.txt" || broken "dead letters"
grep -q "^$bad dead letters" "$work/letters.txt" || broken "$(cat "$work/letters.txt")"
searched=0
for topic in lists user-rows item-rows item-deltas epochs metrics dead-letters; do
  kcat -C -b "$brokers" -t "secret.$topic" -e -q -f '%k\n%s\n%h\n' > "$work/topic.$topic" 2> "$work/kcat.log" || broken "kcat: $(cat "$work/kcat.log")"
  searched=$((searched + $(wc -c < "$work/topic.$topic")))
done
[ -s "$work/topic.lists" ] && [ -s "$work/topic.user-rows" ] && [ -s "$work/topic.dead-letters" ] || broken "empty topics"
found=$(grep -laF RAWID -r "$work/state" "$work"/topic.* "$work/run.log" "$work/letters.txt" || true)
[ -z "$found" ] || broken "a raw id stands in $found"
echo "searched $searched bytes of topics, $(du -sb "$work/state" | cut -f 1) of state, $(wc -c < "$work/run.log") of logs"
found=$(python "$here/python/raw_ids.py" names "$brokers" "$millrace" secret "$work/key") || broken "$found"
echo "$found"
echo "ok"
