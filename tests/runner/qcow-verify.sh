#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
#   qcow-verify.sh RUNNER-VERIFY WORKDIR
#
# The runner against a handler that is not ours: tcmu-runner's own for qcow2.
# If the two understand each other, the runner is a fair host.  WORKDIR must not
# be tmpfs: that handler cannot write there.
#
# Removal is "drained", as the kernel does it: that handler may be cancelled in
# the middle of a request, and loses it then.
set -eu -o pipefail
verify=$1
work=$(mktemp -d "$2/qcow.XXXXXX")
trap 'rm -rf "$work"' EXIT

skip() {
    echo "qcow-verify: $*"
    [[ ${CI:-} != true ]] || exit 1
    exit 77
}

handler=
for folder in /usr/lib/*/tcmu-runner /usr/lib64/tcmu-runner /usr/lib/tcmu-runner; do
    [[ ! -e $folder/handler_qcow.so ]] || handler=$folder/handler_qcow.so
done
[[ -n $handler ]] || skip "no handler_qcow.so: package tcmu-runner is not installed"
command -v qemu-img >/dev/null || skip "no qemu-img: package qemu-utils is not installed"

size=$((64 * 1024 * 1024))
qemu-img create -q -f qcow2 -o compat=0.10 "$work/disk.qcow2" $size
"$verify" --handler "$handler" --config "qcow/$work/disk.qcow2" --size $size \
    --requests 10000 --submitters 4 --remove-under-load --seed "${RUNNER_SEED:-1}"
qemu-img check "$work/disk.qcow2"
