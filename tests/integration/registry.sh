#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows, on a real broker and a real schema registry (Apicurio): records framed by the registry's ids are
# learned, with references; lists are framed by the id of our schema there; an id that cannot be asked for
# holds up its partition and no other; no record is lost or a dead letter while the registry is down, at the
# start or later, with a cache or without; an id that it does not have is a dead letter; the history can be
# run again.
#
# usage: registry.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
registry=$here/registry/registry.sh
export REGISTRY_DATA=$work/registry REGISTRY_PORT=${REGISTRY_PORT:-$((30000 + $$ % 2000))}
command -v java > /dev/null || skip "no java"
command -v curl > /dev/null || skip "no curl"
"$registry" fetch 2> "$work/fetch.log" || skip "no Apicurio Registry: $(tail -1 "$work/fetch.log")"
python -c 'import fastavro, confluent_kafka'
refusing=
trap '"$registry" stop; [ -z "$refusing" ] || kill "$refusing"; end' EXIT
start_broker
url=$("$registry" start) || broken "the registry"

py() { python "$here/python/registry.py" "$@"; }
send() { py send "$brokers" clicks "$work/ids.json" "$work/places.json" "$@" || broken "send $*"; }
wait_for() { py wait "$brokers" bus clicks "$@" || broken "the group does not come to $*"; }
next_of() { py next "$brokers" bus clicks "$1"; }
letters() { "$tool" "$brokers" count bus.dead-letters; }
signal_registry() { kill "-$1" "$(cat "$REGISTRY_DATA/pid")"; }
run() { # run LOG OPTION...: in the background
  local log=$1
  shift
  "$millrace" run --config "$work/worker.yaml" "$@" 2> "$log" &
  worker=$!
}
stop() {
  kill -TERM "$worker" && wait "$worker" || broken "the stop"
  worker=
}

cat > "$work/worker.yaml" << Y
app: bus
instance: one
kafka: {bootstrap_servers: "$brokers"}
topics:
  clicks: {kind: click, format: confluent, mapping: {user: by.id, item: item, time: at}}
registry: {urls: "$url", timeout: 1s, missing: 5s, register: true}
state: {path: $work/state}
users: {memory: 8MiB}
items: {max: 5000}
lists: {k: 10, interval_ms: 200ms}
metrics: {interval: 1s}
Y
"$tool" "$brokers" make clicks 4
py register "$url" "$work/ids.json" || broken "register"

"$millrace" check --config "$work/worker.yaml" --create-topics > "$work/check.log" || broken "$(cat "$work/check.log")"
grep -q "clicks: subject clicks-value: version 2, id .*, decodes" "$work/check.log" || broken "$(cat "$work/check.log")"
grep -q "bus.lists: subject bus.lists-value: our schema will be registered" "$work/check.log" || broken "$(cat "$work/check.log")"

# What is wrong is said, with what would be right; nothing that is secret is.
"$build/python/bin/python" "$here/python/registry.py" refuse "$work/refusing" & # not in a subshell: it is killed
refusing=$!
until_line "$work/refusing" http
asked() { # asked NAME TEXT [VARIABLE...]: check --connect of the registry that refuses has to say TEXT
  local name=$1 text=$2
  shift 2
  expect_fail "$name" "$text" env "MILLRACE_REGISTRY_URLS=$(cat "$work/refusing")" "$@" \
    "$millrace" check --config "$work/worker.yaml" --connect
}
printf 'hush-hush\n' > "$work/secret"
asked check_nobody "WRONG   registry: .*HTTP 401: it wants to know who asks: set registry.username"
asked check_password "WRONG   registry: .*HTTP 401: it does not take the user name and password" \
  MILLRACE_REGISTRY_USERNAME=anna MILLRACE_REGISTRY_PASSWORD=hush-wrong
asked check_token "WRONG   registry: .*HTTP 401: it does not take" MILLRACE_REGISTRY_TOKEN=hush-token
asked check_right "WRONG   clicks: .*HTTP 403: this account may not read or write subject clicks-value: grant it" \
  MILLRACE_REGISTRY_USERNAME=anna "MILLRACE_REGISTRY_PASSWORD_FILE=$work/secret"
kill "$refusing"
refusing=
! grep -l hush "$work"/*.log || broken "a secret was said"

# All is well.
run "$work/run.log"
send 0 400 one all
wait_for 0:end 1:end 2:end 3:end
[ "$(letters)" = "records=0" ] || broken "dead letters: $(letters)"
py lists "$brokers" "$url" bus.lists || broken "lists"

# The registry hangs: a schema that was not seen yet holds up its partition, and no other.
signal_registry STOP
at=$(next_of 0)
send 1000 20 two 0
send 2000 20 one 0
send 3000 200 one '!0'
wait_for 1:end 2:end 3:end
until_line "$work/run.log" "the registry does not answer"
[ "$(next_of 0)" = "$at" ] || broken "partition 0 went from $at to $(next_of 0)"
signal_registry CONT
wait_for 0:end
[ "$(letters)" = "records=0" ] || broken "dead letters: $(letters)"
echo "partition 0 waited at $at, the others did not"

# An id that the registry does not have.
send 4000 3 none 1
send 5000 10 one 1
wait_for 1:end
[ "$(letters)" = "records=3" ] || broken "dead letters: $(letters)"
[ "$(grep -c "a schema is missing" "$work/run.log")" = 1 ] || broken "$(grep "is missing" "$work/run.log")"

# A start with the registry down, and what it said on disk.
kill -9 "$worker"
wait "$worker" 2> /dev/null || true
"$registry" stop
send 6000 100 one all
send 7000 100 two all
timeout 120 "$millrace" run --config "$work/worker.yaml" --stop-at-end 2> "$work/down.log" || broken "the start with a cache"
[ "$(letters)" = "records=3" ] || broken "dead letters: $(letters)"

# Without a cache lists cannot be framed, and the start says why; where they need no registry, partitions
# wait until it is back.
rm -r "$work/state/registry"
expect_fail no_registry "registry.urls" "$millrace" run --config "$work/worker.yaml"
expect_fail check_down "registry.urls" "$millrace" check --config "$work/worker.yaml" --connect
send 8000 100 two all
run "$work/cold.log" --set outputs.format=single-object
until_line "$work/cold.log" "the registry does not answer"
"$registry" start > /dev/null || broken "the registry again"
py register "$url" "$work/again.json" || broken "register again"
expect_fail check_path "/apis/ccompat/v7" "$millrace" check --config "$work/worker.yaml" --connect --set "registry.urls=${url%/apis*}"
cmp -s "$work/ids.json" "$work/again.json" || broken "other ids: $(cat "$work/again.json")"
wait_for 0:end 1:end 2:end 3:end
[ "$(letters)" = "records=3" ] || broken "dead letters: $(letters)"
stop
timeout 60 "$millrace" run --config "$work/worker.yaml" --stop-at-end 2> "$work/rest.log" || broken "the last run"
read -r all learned _ <<< "$(counted "$work/rest.log")"
echo "counted=$all learned=$learned"
[ "$all" = 953 ] && [ "$learned" = 950 ] || broken "want 953 counted, 950 of them learned"
runs_again again --config "$work/worker.yaml"

echo "ok"
