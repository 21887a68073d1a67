#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: where the lists that are due together take more than commit.bytes_max, the worker makes them all the same,
# and learns less into such a commit; it does not end.
#
# usage: large_commits.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
start_broker

cat > "$work/worker.yaml" << Y
app: large
instance: one
kafka: {bootstrap_servers: "$brokers"}
topics: {clicks: {kind: click}}
state: {path: $work/state}
users: {memory: 32MiB}
items: {max: 5000}
lists: {k: 100, interval_ms: 0}
epoch: {bytes_max: 1MiB, events_max: 1000, users_max: 1000}
commit: {bytes_max: 1MiB} # of which 4,000 lists of 100 items take many times as much
metrics: {interval: 1s}
Y
"$tool" "$brokers" make clicks 4
"$millrace" check --config "$work/worker.yaml" --create-topics > "$work/check.log" || broken "$(cat "$work/check.log")"
"$tool" "$brokers" clicks clicks 20000 8000 2000 0 > "$work/sent.log"
timeout 120 "$millrace" run --config "$work/worker.yaml" --stop-at-end 2> "$work/run.log" || broken "$(tail -2 "$work/run.log")"
read -r counted learned duplicate <<< "$(counted "$work/run.log")"
echo "counted=$counted learned=$learned $("$tool" "$brokers" count large.lists)"
[ "$learned" = 20000 ] || broken "want 20000"
echo ok
