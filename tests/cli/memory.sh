#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# The most memory that vhdctl takes, whatever the image: a chain whose BATs alone are larger, a fixed
# and a dynamic image with more data than that.
. "$(dirname "$0")/functions.sh"

most_mib=64

# frugal COMMAND...: it succeeds, and never has more than most_mib.
frugal() {
    local mib
    mib=$(python3 -c 'import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)' "$VHDCTL" "$@") || fail "$*"
    ((mib <= most_mib)) || fail "$* took $mib MiB"
}

# 15564800 blocks: a BAT of 59 MiB.
frugal create --size 1900G --block-size 128K parent.vhd
frugal snapshot parent.vhd child.vhd
printf data | silent vhdctl write --offset 1T child.vhd
frugal map child.vhd
frugal check --chain child.vhd
frugal convert child.vhd flat.vhd
frugal convert -O raw child.vhd raw
frugal compare raw child.vhd
frugal tree .
is "$(tail -c +1099511627777 raw | head -c 4)" data
rm -f ./*

# Blocks of 2 MiB: emptying a child writes a BAT of 4 MiB, from memory.
frugal create --size 2040G parent.vhd
frugal snapshot parent.vhd child.vhd
printf data | silent vhdctl write --offset 1T child.vhd
frugal commit child.vhd
is "$(vhdctl read --offset 1T --length 4 parent.vhd)" data
rm -f ./*

noise data $((72 << 20))
frugal convert data dynamic.vhd
frugal convert -O fixed dynamic.vhd fixed.vhd
frugal snapshot fixed.vhd child.vhd
frugal write child.vhd < <(head -c 72M dynamic.vhd)
frugal convert -O raw child.vhd raw
frugal commit child.vhd
