#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows, on a real broker with SASL_SSL, SCRAM users and ACLs and a real schema registry: with the rights that
# deploy/SECURITY.md names and no others, a worker learns every record that confluent-kafka's serialiser in
# Python and Apicurio's in Java have written, and both deserialisers read its lists; what is wrong with a
# password, a CA, each of the rights or the registry is said in words that put it right, by run and by check;
# no secret is said.
#
# usage: security.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
registry=$here/registry/registry.sh
export REGISTRY_DATA=$work/registry REGISTRY_PORT=${REGISTRY_PORT:-$((30000 + $$ % 2000))}
command -v java > /dev/null || skip "no java"
command -v curl > /dev/null || skip "no curl"
command -v openssl > /dev/null || skip "no openssl"
"$registry" fetch 2> "$work/fetch.log" || skip "no Apicurio Registry: $(tail -1 "$work/fetch.log")"
jars=${JAVA_CLIENT_LIBS:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace/java-client}
[ -f "$jars/.complete" ] || { mvn -q -B -f "$here/registry/java/pom.xml" dependency:copy-dependencies \
  -DoutputDirectory="$jars" -DincludeScope=runtime && touch "$jars/.complete"; } > "$work/fetch.log" 2>&1 \
  || skip "no Java client: $(tail -1 "$work/fetch.log")"
python -c 'import confluent_kafka, httpx'
trap '"$registry" stop; end' EXIT

"$registry" start > "$work/registry.url" & # beside the broker
export KAFKA_SECURE="admin:hush-admin worker:hush-worker shop:hush-shop reader:hush-reader"
start_broker
wait $! || broken "the registry"
url=$(cat "$work/registry.url")

py() { python "$here/python/security.py" "$@" || broken "security.py $*"; }
jv() { # jv COMMAND USER ARGUMENT...: the Java client; its registry has another path
  local command=$1 user=$2
  shift 2
  java -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$jars/*" \
    "$here/registry/java/Client.java" "$command" "$work/$user.properties" "${url%/ccompat*}/registry/v2" "$@" \
    2> "$work/java-$command.log" || broken "Client.java $command: $(tail -5 "$work/java-$command.log")"
}
for user in admin shop reader; do
  cat > "$work/$user.conf" << C
bootstrap.servers=$brokers
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.username=$user
sasl.password=hush-$user
ssl.ca.location=$KAFKA_DATA/ca.pem
C
  cat > "$work/$user.properties" << C
bootstrap.servers=$brokers
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="$user" password="hush-$user";
ssl.truststore.type=PEM
ssl.truststore.location=$KAFKA_DATA/ca.pem
C
done
cat > "$work/worker.yaml" << Y
app: bus
instance: one
kafka:
  bootstrap_servers: "$brokers"
  properties:
    security.protocol: SASL_SSL
    sasl.mechanism: SCRAM-SHA-512
    sasl.username: worker
    ssl.ca.location: $KAFKA_DATA/ca.pem
topics:
  clicks: {kind: click, format: confluent, mapping: {user: visitor, item: product, time: at ms}}
  purchases:
    kind: purchase
    format: confluent
    mapping: {user: visitor, time: at ms, lines: lines, lines.item: product, lines.quantity: pieces}
registry: {urls: "$url", timeout: 1s, register: true}
state: {path: $work/state}
users: {memory: 8MiB}
items: {max: 5000}
lists: {k: 10, interval_ms: 200ms}
Y
echo hush-worker > "$work/password"

# SCRAM of librdkafka below 2.6.1 is refused by Kafka 4: then the one that confluent-kafka brings along runs
# the worker, and the system's own comes in by PLAIN where it is asked below.
old=$("$millrace" --version | sed -n 's/^librdkafka //p')
now=$work/librdkafka
mkdir "$now"
[ "$(printf '%s\n' 2.6.1 "$old" | sort -V | head -1)" = 2.6.1 ] \
  || ln -s "$build"/python/lib/python*/site-packages/confluent_kafka.libs/librdkafka*.so.1 "$now/librdkafka.so.1"
password=MILLRACE_KAFKA_PROPERTIES_SASL_PASSWORD mechanism=MILLRACE_KAFKA_PROPERTIES_SASL_MECHANISM
by_scram=(env "LD_LIBRARY_PATH=$now" "${password}_FILE=$work/password" "$millrace")
by_plain=(env "$mechanism=PLAIN" "${password}_FILE=$work/password" "$millrace")
mill() { "${by_scram[@]}" "$@" --config "$work/worker.yaml"; }
echo "librdkafka $old, and $(mill --version | sed -n 's/^librdkafka //p') with SCRAM"

# The rights of the page, and no others.
rights() { # rights LINE...: a file of them
  printf '%s\n' "$@" > "$work/rights"
  echo "$work/rights"
}
sed -n 's/^| `\([A-Za-z]*\)` | \([a-z-]*\) | `\([^`]*\)` .*/\1 \2 \3/p' "$here/../../deploy/SECURITY.md" \
  | sed 's/<app>/bus/; /<input>/{s/<input>/clicks/p; s/clicks/purchases/}' > "$work/page"
[ "$(wc -l < "$work/page")" = 8 ] || broken "the page has $(wc -l < "$work/page") rights"
py topics "$work/admin.conf" clicks:4 purchases:4
py allow "$work/admin.conf" worker "$work/page"
py allow "$work/admin.conf" shop "$(rights "Write topic clicks" "Write topic purchases")"
py allow "$work/admin.conf" reader "$(rights "Read topic bus.lists" "Read group reader")"

# Foreign serialisers write, foreign deserialisers read.
from_python=$(py write "$work/shop.conf" "$url" 0 600)
from_java=$(jv write shop 1000 400)
echo "written: Python $from_python, Java $from_java"
mill check --create-topics > "$work/check.log" 2>&1 || broken "$(cat "$work/check.log")"
grep -q "^ok      rights" "$work/check.log" || broken "$(cat "$work/check.log")"
py deny "$work/admin.conf" worker "$(rights "Create topic bus.*")"
mill run --stop-at-end 2> "$work/run.log" || broken "the run: $(tail -2 "$work/run.log")"
[ "$(counted "$work/run.log")" = "1000 1000 0" ] || broken "counted $(counted "$work/run.log"), want 1000 learned"
in_python=$(py read "$work/reader.conf" "$url" bus.lists)
in_java=$(jv read reader bus.lists)
echo "read: Python $in_python, Java $in_java"
[ "$in_python" = "$in_java" ] && [ "${in_python#*users=}" = 40 ] || broken "lists"

# The registry is away, later: partitions wait, and go on when it is back.
"${by_scram[@]}" run --config "$work/worker.yaml" 2> "$work/later.log" & # not in a subshell: it is killed
worker=$!
until_line "$work/later.log" " ready "
python "$here/python/security.py" write "$work/shop.conf" "$url" 2000 100 "$work/ready" "$work/go" > "$work/write.log" &
writing=$!
until_line "$work/ready" ready
kill -STOP "$(cat "$REGISTRY_DATA/pid")"
touch "$work/go"
wait "$writing" || broken "$(cat "$work/write.log")"
until_line "$work/later.log" "the registry does not answer"
kill -CONT "$(cat "$REGISTRY_DATA/pid")"
py wait "$work/admin.conf" bus clicks
py wait "$work/admin.conf" bus purchases
kill -TERM "$worker" && wait "$worker" || broken "the stop"
worker=
[ "$(counted "$work/later.log")" = "1100 1100 0" ] || broken "counted $(counted "$work/later.log"), want 1100 learned"

# What is wrong is said, by run and by check, soon.
wrong() { # wrong NAME SAID-BY-RUN SAID-BY-CHECK COMMAND... [-- OPTION...]
  local name=$1 run=$2 check=$3 command=()
  shift 3
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    command+=("$1")
    shift
  done
  expect_fail "run_$name" "ends error=\"$run" "${command[@]}" run --config "$work/worker.yaml" "${@:2}"
  expect_fail "check_$name" "^WRONG   $check" "${command[@]}" check --connect --config "$work/worker.yaml" "${@:2}"
}

# The registry is away at the start, and nothing was kept of it.
mv "$work/state/registry" "$work/kept"
away="http://127.0.0.1:1: .*: is it up, and is registry.urls right?"
wrong registry "$away" "registry: $away" "${by_scram[@]}" -- --set registry.urls=http://127.0.0.1:1
mv "$work/kept" "$work/state/registry"

kept_out() { wrong "$1" "$2" "brokers: $2" "${@:3}"; }
other="$password=hush-wrong"
refused="the brokers do not let user 'worker' in by"
certificate="the certificate of $brokers is not of a CA that is trusted"
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -keyout /dev/null -out "$work/other.pem" 2> "$work/ca.log"
kept_out password "$refused SCRAM-SHA-512: a wrong name or password" env "LD_LIBRARY_PATH=$now" "$other" "$millrace"
kept_out password_plain "$refused PLAIN: a wrong name or password" env "$mechanism=PLAIN" "$other" "$millrace"
kept_out ca "$certificate" "${by_scram[@]}" -- --set "kafka.properties.ssl.ca.location=$work/other.pem"
kept_out ca_plain "$certificate" "${by_plain[@]}" -- --set "kafka.properties.ssl.ca.location=$work/other.pem"
kept_out mechanism "the brokers do not know sasl.mechanism SCRAM-SHA-1; they have .*SCRAM-SHA-512" \
  env "$mechanism=SCRAM-SHA-1" "$other" "$millrace"
[ ! -e "$now/librdkafka.so.1" ] || kept_out old "$refused SCRAM-SHA-512: .*from librdkafka 2.6.1 on, and this is $old" \
  env "${password}_FILE=$work/password" "$millrace"

# One of two brokers is not the one that it should be: the other one is asked.
other_port=$((${KAFKA_PORT:?} + 50))
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -keyout "$work/other.key" -out "$work/false.pem" 2> "$work/ca.log"
openssl s_server -quiet -accept "127.0.0.1:$other_port" -cert "$work/false.pem" -key "$work/other.key" > "$work/false.log" 2>&1 &
false_broker=$!
for turn in 1 2 3; do # whichever the client asks first
  mill check --connect --set "kafka.bootstrap_servers=127.0.0.1:$other_port,$brokers" > "$work/check.log" 2>&1 \
    || broken "with a false broker, turn $turn: $(cat "$work/check.log")"
done
kill "$false_broker" && wait "$false_broker" 2> /dev/null || true

# Each of the rights, by the system's librdkafka and by the one with SCRAM.
lacks() { # lacks CASE OPERATION RESOURCE NAME TOLD [RIGHT]: without it, but with another RIGHT, if need be
  local case=$1 text="user 'worker' lacks $2 on ${3/-/ } '$5': kafka-acls --add --allow-principal User:worker"
  text+=" --operation $2 --$3 $5"
  py deny "$work/admin.conf" worker "$(rights "$2 $3 $4")"
  [ -z "${6:-}" ] || py allow "$work/admin.conf" worker "$(rights "$6")"
  wrong "$case" ".*$text" ".*: $text" "${by_scram[@]}"
  wrong "${case}_plain" ".*$text" ".*: $text" "${by_plain[@]}"
  [ -z "${6:-}" ] || py deny "$work/admin.conf" worker "$(rights "$6")"
  py allow "$work/admin.conf" worker "$(rights "$2 $3 $4")"
}
py write "$work/shop.conf" "$url" 3000 100 > /dev/null # to be read, and committed
lacks see Read topic clicks clicks
lacks read Read topic purchases purchases "Describe topic purchases"
lacks write Write topic 'bus.*' bus.lists
lacks changelog Read topic 'bus.*' bus.user-rows
lacks group Read group bus bus
lacks transactions Write transactional-id 'bus-*' bus-one

# All of them are back, and nothing was lost.
mill check --connect > "$work/check.log" 2>&1 || broken "$(cat "$work/check.log")"
mill run --stop-at-end 2> "$work/last.log" || broken "the last run: $(tail -2 "$work/last.log")"
[ "$(counted "$work/last.log")" = "1200 1200 0" ] || broken "counted $(counted "$work/last.log"), want 1200 learned"
! grep -l hush "$work"/*.log || broken "a secret was said"
echo "ok"
