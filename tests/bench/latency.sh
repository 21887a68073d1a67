#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How long a list waits for its event: from the record's timestamp to the confirmed commit that holds the
# list, at several loads, on a broker that shares the cores with the worker and its sender.
#   BUILD=build/release tests/bench/latency.sh [EVENTS A SECOND ...]
# Prints for each load the last window of five seconds out of twenty: events, commits, median and 99th
# percentile. Needs Java 17, as the integration tests do.
. "$(dirname "$0")/../integration/lib.sh"
[ $# -gt 0 ] || set -- 200 2000 5000 10000 20000

start_broker
unset KAFKA_JIT
cat > "$work/worker.yaml" << Y
app: wait
instance: one
kafka: {bootstrap_servers: "$brokers"}
topics:
  clicks: {kind: click}
state: {path: $work/state}
items: {max: 25000}
metrics: {interval: 5s}
Y
"$tool" "$brokers" make clicks 4 > /dev/null || broken "topic"
"$millrace" check --config "$work/worker.yaml" --create-topics > "$work/check.txt" || broken "check: $(cat "$work/check.txt")"
"$millrace" run --config "$work/worker.yaml" 2> "$work/run.log" &
worker=$!
until_line "$work/run.log" " ready "
for rate in "$@"; do
  # Ids of events follow from the seed: each load has its own, or they would be dropped as copies.
  "$millrace" produce --config "$work/worker.yaml" --rate "$rate" --now \
    --generate "events=$((rate * 21)),users=10000,items=20000,carts=0,purchases=0,seed=$rate" \
    > "$work/produce.txt" 2>&1 || broken "produce: $(tail -3 "$work/produce.txt")"
  echo "rate=$rate $(grep -o 'window records=.*' "$work/run.log" | tail -2 | head -1)"
  sleep 6 # for what is left behind
done
kill -TERM "$worker" && wait "$worker"
worker=
