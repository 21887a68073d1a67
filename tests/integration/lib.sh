# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the integration tests share: a broker of their own, a worker, and an end that leaves nothing.
# Sourced with BUILD set to the build folder. Sets work, here, millrace, tool and brokers.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "$BUILD" && pwd)
millrace=$build/bin/millrace tool=$build/tests/bus_tool

work=$(mktemp -d)
worker=

skip() { echo "skipped: $*"; exit 77; }
end() {
  [ -z "$worker" ] || kill -9 "$worker" 2> /dev/null || true
  [ -z "${KAFKA_DATA:-}" ] || "$here/kafka/kafka.sh" wipe
  [ -n "${KEEP:-}" ] && echo "kept: $work" || rm -rf "$work"
}
trap end EXIT
broken() {
  echo "BROKEN: $*"
  grep -hE " (error|warning) " "$work"/*.log 2> /dev/null | grep -v refused | tail -20 || true
  exit 1
}

start_broker() { # [COUNT]
  command -v java > /dev/null || skip "no java"
  "$here/kafka/kafka.sh" fetch || skip "no Kafka"
  export KAFKA_DATA=$work/kafka KAFKA_PORT=${KAFKA_PORT:-$((20000 + $$ % 5000 * 2))} KAFKA_JIT=${KAFKA_JIT:-1}
  brokers=$("$here/kafka/kafka.sh" start "${1:-1}")
}

# expect_fail NAME TEXT COMMAND...: it has to end with exit 1, soon, and its last words have to say TEXT.
expect_fail() {
  local name=$1 text=$2 status=0
  shift 2
  timeout 60 "$@" > "$work/$name.log" 2>&1 || status=$?
  [ "$status" = 1 ] || { tail -5 "$work/$name.log"; broken "$name: exit $status, want 1"; }
  grep -q -- "$text" "$work/$name.log" || { tail -5 "$work/$name.log"; broken "$name: want '$text'"; }
}

# until_line FILE TEXT: waits until the file holds the text, at most a minute.
until_line() {
  local tries=0
  until grep -q -- "$2" "$1" 2> /dev/null; do
    [ "$((tries += 1))" -le 600 ] || broken "no '$2' in $1 after a minute"
    sleep 0.1
  done
}

# counted LOG: "read learned duplicate" as the worker said at its end.
counted() { sed -n 's/.*counted read=\([0-9]*\) learned=\([0-9]*\) duplicate=\([0-9]*\).*/\1 \2 \3/p' "$1"; }

# runs_again NAME OPTION...: replay --epochs has to come to what was left, every list compared.
runs_again() {
  local name=$1
  shift
  timeout 200 "$millrace" replay --epochs --json "$@" > "$work/$name.json" 2> "$work/$name.log" \
    || broken "replay --epochs, $name: $(tail -3 "$work/$name.log")"
  echo "$name: $(tr -d '\n ' < "$work/$name.json")"
  [ "$(again "$name" lists_gone)" = 0 ] || broken "$name: lists were not compared"
}
again() { sed -n "s/.*\"$2\": \"\{0,1\}\([0-9a-f]*\).*/\1/p" "$work/$1.json" | head -1; } # NAME KEY

# python COMMAND...: in a venv of the build folder with the packages of python/requirements.txt.
python() {
  local venv=$build/python wanted=$here/python/requirements.txt
  if ! cmp -s "$wanted" "$venv/.complete"; then
    { python3 -m venv "$venv" && "$venv/bin/pip" install -q -r "$wanted" \
      && cp "$wanted" "$venv/.complete"; } > "$work/venv.log" 2>&1 || skip "no Python packages: $(tail -1 "$work/venv.log")"
  fi
  "$venv/bin/python" "$@"
}
