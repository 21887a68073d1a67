#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What sharing costs: the same backlog learned by 1, 2 and 3 workers of one application.
#   BUILD=build/release tests/bench/workers.sh [EVENTS]
# Prints for each number of workers the CPU seconds of all of them, events per CPU second, and how many bytes
# went to lists, changelogs and deltas. The brokers' time is not counted, so that workers that share their
# cores with a broker can be compared. Needs Java 17 and kcat, as the integration tests do.
. "$(dirname "$0")/../integration/lib.sh"
events=${1:-300000}
partitions=6

config() { # config N INSTANCE
  cat > "$work/$1-$2.yaml" <<Y
app: share$1
instance: $2
lanes: 1
kafka:
  bootstrap_servers: $brokers
  session_timeout: 12s
topics:
  clicks:
    topic: share.clicks
    kind: click
items:
  max: 25000
state:
  path: $work/state-$1-$2
Y
}

bytes_of() { # of the committed records of a topic, keys and values
  kcat -b "$brokers" -C -t "$1" -e -q -f '%K %S\n' 2> /dev/null |
    awk '{ if ($1 > 0) sum += $1; if ($2 > 0) sum += $2 } END { printf "%d", sum }'
}

run_one() { # run_one N INSTANCE
  local TIMEFORMAT='%U %S'
  { time timeout 280 "$millrace" run --config "$work/$1-$2.yaml" --stop-at-end 2> "$work/$1-$2.log"; } 2> "$work/$1-$2.time"
}

measure() { # measure N
  local n=$1 i learned cpu begun
  for ((i = 1; i <= n; i++)); do config "$n" "w$i"; done
  "$millrace" check --config "$work/$n-w1.yaml" --connect --create-topics > "$work/check.txt" ||
    broken "check: $(cat "$work/check.txt")"
  begun=$SECONDS
  for ((i = 1; i <= n; i++)); do run_one "$n" "w$i" & done
  wait
  learned=$(cat "$work/$n"-w*.log | sed -n 's/.*counted.* learned=\([0-9]*\).*/\1/p' | awk '{ s += $1 } END { print s }')
  cpu=$(cat "$work/$n"-w*.time | awk '{ s += $1 + $2 } END { printf "%.2f", s }')
  echo "workers=$n learned=$learned seconds=$((SECONDS - begun)) cpu_s=$cpu" \
    "events_per_cpu_s=$(awk "BEGIN { printf \"%d\", $learned / $cpu }") lists=$(bytes_of "share$n.lists")" \
    "user_rows=$(bytes_of "share$n.user-rows") item_rows=$(bytes_of "share$n.item-rows")" \
    "deltas=$(bytes_of "share$n.item-deltas")"
  [ "$learned" = "$events" ] || broken "$n workers learned $learned of $events"
}

start_broker
config 1 w1
"$tool" "$brokers" make share.clicks $partitions > /dev/null || broken "topic"
"$millrace" produce --config "$work/1-w1.yaml" --generate "events=$events,users=10000,items=20000,carts=0,purchases=0" \
  > "$work/produce.txt" 2>&1 || broken "produce: $(tail -3 "$work/produce.txt")"
for n in 1 2 3; do measure "$n"; done
