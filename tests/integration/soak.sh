#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: memory, state and lag of a worker that runs for long stay flat (soak.py).
#
# usage: soak.sh BUILD_DIR [OPTIONS OF soak.py]
BUILD=$1
. "$(dirname "$0")/lib.sh"
shift
export KAFKA_HEAP=${KAFKA_HEAP:-1g}
start_broker
unset KAFKA_JIT
python "$here/soak.py" "$build" "$work" "$brokers" "$@"
