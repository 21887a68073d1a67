#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: three workers on three brokers lose no event, learn none twice and show no reader anything of a
# commit that was undone, whatever happens to workers, brokers, disks and the network between them
# (torture.py says what, and how it is checked).
#
# usage: torture.sh BUILD_DIR [OPTIONS OF torture.py]
BUILD=$1
. "$(dirname "$0")/lib.sh"
shift
export KAFKA_PATHS=3 KAFKA_HEAP=${KAFKA_HEAP:-384m}
start_broker 3
status=0
python "$here/torture.py" "$build" "$work" "$brokers" "$@" || status=$?
mountpoint -q "$work/disk" && umount "$work/disk"
exit "$status"
