#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
#   vhd-verify.sh RUNNER-VERIFY HANDLER VHDCTL WORKDIR
#
# Our handler under the runner: a fixed and a dynamic image, then a chain of four
# children, each loaded over the content of those below.  Every load ends with
# removal under load, drained and at once in turn; parents must stay as they were.
set -eu -o pipefail
verify=$1 handler=$2 vhdctl=$3
work=$(mktemp -d "$4/vhd.XXXXXX")
trap 'rm -rf "$work"' EXIT

size=$((64 * 1024 * 1024))
seed=${RUNNER_SEED:-1}

# load IMAGE MODEL REMOVAL [OPTION...]: a verified load, then a clean check.
load() {
    local image=$1 model=$2 removal=$3
    shift 3
    echo "-- $(basename "$image"), $removal $*"
    "$verify" --handler "$handler" --config "vhd/$image" --size $size --model "$model" \
        --requests "${RUNNER_REQUESTS:-10000}" --submitters 4 --unmap \
        --remove-under-load --removal "$removal" --seed "$((seed++))" "$@"
    "$vhdctl" check --chain "$image"
}

"$vhdctl" create --type fixed --size $size "$work/fixed.vhd"
load "$work/fixed.vhd" "$work/fixed.model" drained
load "$work/fixed.vhd" "$work/fixed.model" at-once

"$vhdctl" create --type dynamic --size $size "$work/layer0.vhd"
load "$work/layer0.vhd" "$work/model" drained
load "$work/layer0.vhd" "$work/model" at-once
for layer in 1 2 3 4; do
    "$vhdctl" snapshot "$work/layer$((layer - 1)).vhd" "$work/layer$layer.vhd"
    sha256sum "$work/layer$((layer - 1)).vhd" >>"$work/parents"
    load "$work/layer$layer.vhd" "$work/model" drained
    load "$work/layer$layer.vhd" "$work/model" at-once
done
sha256sum --quiet --check "$work/parents"
echo "no parent has changed"
