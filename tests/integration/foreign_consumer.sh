#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: the lists can be read by programs that know nothing but the bus and the schema: by fastavro
# field by field (propensities, versions, keys, partitions), and by kcat as many with the same keys.
# So can the items: each that was listed is published, with a vector and counts.
#
# usage: foreign_consumer.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
command -v kcat > /dev/null || skip "no kcat"
python -c 'import fastavro, confluent_kafka'
start_broker

cat > "$work/worker.yaml" << Y
app: foreign
instance: one
kafka: {bootstrap_servers: "$brokers"}
topics:
  clicks: {kind: click}
state: {path: $work/state}
users: {memory: 8MiB}
items: {max: 5000, publish_interval: 1s}
lists: {k: 20, interval_ms: 200ms, explore: 0.3}
metrics: {interval: 1s}
Y
"$tool" "$brokers" make clicks 4
"$millrace" check --config "$work/worker.yaml" --create-topics > "$work/check.log" || broken "$(cat "$work/check.log")"
"$millrace" run --config "$work/worker.yaml" 2> "$work/run.log" &
worker=$!
until_line "$work/run.log" " ready " # only then: eight seconds of events are several windows of metrics, also on a slow machine
"$tool" "$brokers" clicks clicks 12000 300 200 1500 > "$work/sent.log"
kill -TERM "$worker" && wait "$worker" || broken "the stop"
worker=
timeout 60 "$millrace" run --config "$work/worker.yaml" --stop-at-end 2> "$work/rest.log" || broken "the second run"
read -r all _ <<< "$(counted "$work/rest.log")"
[ "$all" = 12000 ] || broken "counted $all events, want 12000"

found=$(python "$here/python/lists.py" check "$brokers" "$millrace" foreign 20) || broken "$found"
echo "$found"
lists=${found#lists=} lists=${lists%% *} users=${found#*users=} users=${users%% *}
kcat -C -b "$brokers" -t foreign.lists -e -q -X isolation.level=read_committed -f '%k %p %o %S\n' > "$work/kcat.txt" 2> "$work/kcat.log" || broken "kcat: $(cat "$work/kcat.log")"
[ "$(wc -l < "$work/kcat.txt")" = "$lists" ] || broken "kcat read $(wc -l < "$work/kcat.txt") lists"
[ "$(cut -d ' ' -f 1 "$work/kcat.txt" | sort -u | wc -l)" = "$users" ] || broken "kcat saw other users"
[ "$(cut -d ' ' -f 1,2 "$work/kcat.txt" | sort -u | wc -l)" = "$users" ] || broken "a user's lists are in two partitions"
echo "kcat: $lists lists of $users users"
echo "ok"
