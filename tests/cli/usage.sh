#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# Wrong usage: one sentence, exit status 2 (check: 1), nothing done.
. "$(dirname "$0")/functions.sh"

refused 2 "vhdctl: a verb is missing; see 'vhdctl --help'" vhdctl
refused 2 "vhdctl: 'frobnicate' is no verb; see 'vhdctl --help'" vhdctl frobnicate
refused 2 "vhdctl: info: unknown option --frobnicate; see 'vhdctl info --help'" \
    vhdctl info --frobnicate a.vhd
refused 2 "vhdctl: info: unknown option -x; see 'vhdctl info --help'" vhdctl info -x a.vhd
refused 2 "vhdctl: info: IMAGE is missing; see 'vhdctl info --help'" vhdctl info
refused 2 "vhdctl: info: 'b' is one operand too many; see 'vhdctl info --help'" vhdctl info a b
refused 2 "vhdctl: snapshot: both of PARENT CHILD are needed; see 'vhdctl snapshot --help'" \
    vhdctl snapshot a.vhd
refused 2 "vhdctl: create: --size is missing; see 'vhdctl create --help'" vhdctl create a.vhd
refused 2 "vhdctl: create: type 'thick' is neither dynamic nor fixed; see 'vhdctl create --help'" \
    vhdctl create --type thick --size 1M a.vhd
refused 2 "vhdctl: create: a fixed image has no blocks, --block-size cannot be kept; see 'vhdctl create --help'" \
    vhdctl create --type fixed --block-size 1M --size 1M a.vhd
refused 2 "vhdctl: info: --size goes with neither --chain nor --json; see 'vhdctl info --help'" \
    vhdctl info --size --json a.vhd
refused 2 "vhdctl: convert: output format 'qcow2' is neither raw nor fixed nor dynamic; see 'vhdctl convert --help'" \
    vhdctl convert -O qcow2 a b
refused 2 "vhdctl: convert: source format 'qcow2' is neither raw nor vpc; see 'vhdctl convert --help'" \
    vhdctl convert -f qcow2 a b
refused 2 "vhdctl: convert: only a dynamic image has blocks, --block-size cannot be kept; see 'vhdctl convert --help'" \
    vhdctl convert -O raw -b 1M a b
refused 1 "vhdctl: check: IMAGE is missing; see 'vhdctl check --help'" vhdctl check
refused 1 "vhdctl: check: unknown option --fix; see 'vhdctl check --help'" vhdctl check --fix a
refused 1 "vhdctl: check: the config string names the image, 'a' is one too many; see 'vhdctl check --help'" \
    vhdctl check --config vhd//a a

for verb in create snapshot info map tree check read write convert compare measure luns \
    resize rebase commit compact; do
    run vhdctl "$verb" --help
    is "$status$err" 0 "help of $verb"
    [[ $out == "Usage:"*"vhdctl $verb"* ]] || fail "help of $verb: $out"
    LC_ALL=C grep -q '[^ -~]' <<<"$out" && fail "help of $verb is not ASCII"
done
run vhdctl --help
is "$status$err" 0 "help"
[[ -z $(find . -name '*.vhd') ]] || fail "something was made"

# A closed or full stdout is told, not passed over.
run bash -c '"$VHDCTL" --help >/dev/full'
is "$err" "vhdctl: cannot write to standard output: No space left on device"
is "$status" 1
