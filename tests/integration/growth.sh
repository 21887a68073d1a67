#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: a topic of users' events that gets more partitions ends the worker within a look at the brokers, which says
# what to do, and so does the next start; behind the repartition topic it is read on from where it was, with
# its new partitions, each event counted once, and so is an input that was copied already.
#
# usage: growth.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
start_broker

config() { # CLICKS: what it adds to the input
  cat > "$work/worker.yaml" << Y
app: grown
instance: one
kafka: {bootstrap_servers: "$brokers", session_timeout: 12s} # for so long a name of the stage holds its partitions
topics:
  clicks: {kind: click$1}
  goods: {kind: click, repartition: true, topic: goods}
state: {path: $work/state}
users: {memory: 8MiB}
items: {max: 5000}
metrics: {interval: 1s}
repartition: {partitions: 2}
Y
}
send() { "$tool" "$brokers" clicks "$1" 2000 300 200 "$2" 0 once "$3" > "$work/sent.log"; } # TOPIC RATE FIRST
ends() { # NAME: the worker ends by itself, with the log of that name
  local status=0
  timeout 60 tail --pid="$worker" -f /dev/null || broken "$1: the worker goes on"
  wait "$worker" || status=$?
  worker=
  [ "$status" = 1 ] || broken "$1: exit $status"
}
want() { grep -q -- "$2" "$work/$1.log" || broken "$1: want '$2': $(tail -2 "$work/$1.log")"; }
copied() { # NAME COUNT: a worker runs until so many records were copied
  "$millrace" run --config "$work/worker.yaml" 2> "$work/$1.log" &
  worker=$!
  for ((i = 0; ; i++)); do
    [ "$("$tool" "$brokers" count grown.repartition)" != "records=$2" ] || break
    [ "$i" -lt 60 ] || broken "$1: $("$tool" "$brokers" count grown.repartition), want $2"
    sleep 1
  done
  kill "$worker" && wait "$worker" || broken "$1: the end"
  worker=
}
finish() { # NAME COUNT: a run to the end has counted so many, from the beginning
  timeout 120 "$millrace" run --config "$work/worker.yaml" --stop-at-end 2> "$work/$1.log" || broken "$1: $(tail -2 "$work/$1.log")"
  read -r counted learned duplicate <<< "$(counted "$work/$1.log")"
  echo "$1: counted=$counted duplicate=$duplicate"
  [ "$counted" = "$2" ] && [ "$duplicate" = 0 ] || broken "$1: want $2"
}

config ""
"$tool" "$brokers" make clicks 2
"$tool" "$brokers" make goods 1
"$millrace" check --config "$work/worker.yaml" --create-topics > "$work/check.log" || broken "$(cat "$work/check.log")"
send clicks 0 0
send goods 0 2000
finish first 4000

# The users move while a worker runs.
"$millrace" run --config "$work/worker.yaml" 2> "$work/grown.log" &
worker=$!
until_line "$work/grown.log" ' rebalance: ready'
"$tool" "$brokers" grow clicks 3
ends grown
said='clicks has grown from 2 to 3 partitions, among which its users have moved: set topics.clicks.repartition: true'
want grown "$said"
send clicks 0 4000
expect_fail again "topics.clicks.repartition: true" "$millrace" run --config "$work/worker.yaml" --stop-at-end

# What it says: the tasks stay two, and everything is read.
config ', repartition: true'
"$millrace" check --config "$work/worker.yaml" --create-topics > "$work/check.log" || broken "$(cat "$work/check.log")"
copied through 4000
finish through 6000

# An input behind the topic that grows: the next start reads all of it.
"$millrace" run --config "$work/worker.yaml" 2> "$work/goods.log" &
worker=$!
until_line "$work/goods.log" ' rebalance: ready'
"$tool" "$brokers" grow goods 3
ends goods
want goods 'goods has grown from 1 to 3 partitions: a new start reads them all'
send goods 0 6000
copied both 6000
finish both 8000
echo ok
