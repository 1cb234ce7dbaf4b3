#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# SIGINT: convert ends soon, says so, and leaves nothing behind; write keeps what it wrote. A reader
# of convert's standard output that does not read is no reason to stay.
. "$(dirname "$0")/functions.sh"

# interrupt PID: until it has gone; a signal between its asking and its writing is not seen.
interrupt() {
    while kill -INT "$1" 2>/dev/null; do
        timeout 1 tail --pid="$1" -f /dev/null || true
    done
    status=0
    wait "$1" || status=$?
}

truncate -s 8G raw
dd if=/dev/urandom of=raw bs=1M count=300 conv=notrunc status=none
mkfifo shown
"$VHDCTL" convert -p -O raw raw out 2>shown &
pid=$!
exec 7<shown
head -c 1 <&7 >progress # it has begun
cat <&7 >>progress &
reader=$!
interrupt "$pid"
exec 7<&-
wait "$reader"
if [[ $status == 0 ]]; then # it was too fast for us
    [[ -e out ]] || fail "convert ended well without a file"
else
    is "$status" 1
    is "$(tail -1 progress)" "vhdctl: out: interrupted, nothing was made"
    [[ ! -e out ]] || fail "something was made"
fi
is "$(find . -name '.out.*')" "" "temporary files"

mkfifo pipe
"$VHDCTL" convert -O raw raw - >pipe 2>said &
pid=$!
exec 8<pipe
head -c 1 <&8 >/dev/null # it has begun, and the pipe is soon full
interrupt "$pid"
exec 8<&-
is "$status,$(<said)" "1,vhdctl: standard output: interrupted"

silent vhdctl create --size 1M a.vhd
"$VHDCTL" write a.vhd <pipe 2>said &
pid=$!
exec 8>pipe
printf abc >&8
for _ in $(seq 200); do
    is_busy a.vhd && break
    sleep 0.05
done
pipe_drained
interrupt "$pid"
exec 8>&-
is "$status" 1
is "$(<said)" "vhdctl: a.vhd: interrupted, 3 bytes were written"
is "$(vhdctl read --length 3 a.vhd)" abc
run vhdctl check a.vhd
is "$status" 0 "$out"
