#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: ten times the sustained rate for a while: memory stays below what the configuration adds up to,
# nothing is lost, lists go on, the lag is told while it lasts and is gone again soon after (burst.py).
#
# usage: burst.sh BUILD_DIR [OPTIONS OF burst.py]    the long form: burst.sh BUILD_DIR --burst 60
BUILD=$1
. "$(dirname "$0")/lib.sh"
shift
export KAFKA_HEAP=${KAFKA_HEAP:-1g}
start_broker
unset KAFKA_JIT
python "$here/burst.py" "$build" "$work" "$brokers" "$@"
