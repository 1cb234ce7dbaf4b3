#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# What a killed writer had acknowledged is seen by every verb, told by info and check, and taken in.
. "$(dirname "$0")/functions.sh"

if [[ $(id -u) != 0 ]]; then
    echo "skipped: the logs are root's"
    exit 77
fi
killed() { # IMAGE OFFSET BYTE
    run "$VHD_KILLED_WRITER" "$@"
    is "$status" 137 "status of the killed writer: $err"
}
holds() { # IMAGE OFFSET BYTE
    is "$(vhdctl read -o "$2" -l 4096 "$1" 2>/dev/null | tr -d "$3" | wc -c)" 0 "$1 at $2"
}
log_of() { vhdctl info "$1" 2>/dev/null | sed -n 's/^writes not yet in the file: //p'; }

silent vhdctl create --size 8M a.vhd
killed a.vhd 2097152 A
log=$(log_of a.vhd)
[[ -e $log ]] || fail "no log: $log"
cleanups+=("rm -f '$log'")
[[ $(vhdctl info --json a.vhd 2>/dev/null) == *'"dirty-flag" : true'* ]] || fail "it is not dirty"
before=$(sha256sum <a.vhd)
holds a.vhd 2M A
run vhdctl map --json a.vhd
[[ $out == *'"start": 2097152, "length": 4096, "depth": 0, "present": true, "zero": false'* ]] || fail "$out"
# The block that only the log names is no leak.
run vhdctl check a.vhd
is "$status" 0 "$out"
[[ $out == *"warning (pending): writes that are not in the file yet wait in $log: "* ]] || fail "$out"
silent_convert=$(vhdctl convert -O raw a.vhd raw 2>&1) || fail "$silent_convert"
is "$(dd if=raw bs=4096 skip=512 count=1 status=none | tr -d A | wc -c)" 0 "what was converted"
is "$(sha256sum <a.vhd)" "$before" "the image after reading"

# Writing takes it in.
run vhdctl write --offset 4M a.vhd <<<x
is "$status" 0 "$err"
[[ ! -e $log ]] || fail "the log is still there"
holds a.vhd 2M A
run vhdctl check a.vhd
is "$status" 0
is "$(head -1 <<<"$out")" "No errors were found on the image."

# So does a snapshot: the child must never depend on a log.
killed a.vhd 6291456 B
log=$(log_of a.vhd)
[[ -e $log ]] || fail "no log: $log"
run vhdctl snapshot a.vhd b.vhd
is "$status" 0 "$err"
[[ ! -e $log ]] || fail "the log is still there"
holds b.vhd 6M B

# A writer that is not the handler leaves no log, however it ends.
silent vhdctl create --size 8M c.vhd
mkfifo pipe
"$VHDCTL" write c.vhd <pipe &
pid=$!
exec 8>pipe
head -c 2M /dev/zero >&8
pipe_drained
kill -KILL "$pid"
wait "$pid" || true
exec 8>&-
is "$(log_of c.vhd)" ""
run vhdctl write c.vhd <<<x
is "$status" 0 "$err"
run vhdctl check c.vhd
[[ $status == 0 || $status == 3 ]] || fail "$out"
