#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# What gives something up, or is a choice, is done only when it is said: --yes, an answer, --footer.
. "$(dirname "$0")/functions.sh"

noise data 8192
silent vhdctl create --size 7M d.vhd
silent vhdctl write d.vhd <data
silent vhdctl write --offset 6M d.vhd <data
silent vhdctl convert -O raw d.vhd d.raw
bat=1536
mended="Mended; x.vhd.undo has what was there, vhdctl repair --undo puts it back."

# Entries into the header and beyond the file, which hold no data.
cp d.vhd x.vhd
poke x.vhd file $((bat + 4)) 00000001 file $((bat + 8)) fffffffe
cp x.vhd broken.vhd
run vhdctl check x.vhd
[[ $out == *"Some of this takes a decision: see vhdctl repair --yes and --footer." ]] || fail "$out"
run vhdctl repair x.vhd </dev/null
is "$status" 1
is "$(wc -l <<<"$out")" 3
is "$(grep -c '^left (bat-entry): .*; restore it from a backup (--yes gives it up)$' <<<"$out")" 2
is "${out##*$'\n'}" "Nothing of this was mended."
same_bytes x.vhd broken.vhd
run vhdctl repair --yes x.vhd
is "$status" 0 "$err"
is "$out" "bat-entry: block 1 is given up, bytes 2097152 to 4194303 of the disk: they read as zeros from now on
bat-entry: block 2 is given up, bytes 4194304 to 6291455 of the disk: they read as zeros from now on
$mended"
silent vhdctl convert -O raw x.vhd x.raw
same_bytes x.raw d.raw

# Two entries with one place: the first keeps it. The last block is a partial one.
cp d.vhd x.vhd
rm x.vhd.undo
poke x.vhd file $((bat + 12)) "$(xxd -p -l4 -s$bat x.vhd)"
run vhdctl repair --yes x.vhd
is "$status" 0 "$err"
is "$(head -1 <<<"$out")" "bat-overlap: block 3 is given up, bytes 6291456 to 7340031 of the disk: they read as zeros from now on; it lies over block 0, from byte 0 of the disk on, whose content is to be doubted, too"
dd if=d.raw bs=6M count=1 of=wanted.raw status=none
truncate -s 7M wanted.raw
rm x.raw
silent vhdctl convert -O raw x.vhd x.raw
same_bytes x.raw wanted.raw

# In a child the parent shows.
silent vhdctl create --size 4M p.vhd
silent vhdctl write p.vhd <data
silent vhdctl snapshot p.vhd c.vhd
echo child | silent vhdctl write c.vhd
poke c.vhd file 8192 fffffffe
run vhdctl repair --yes c.vhd
is "$(head -1 <<<"$out")" "bat-entry: block 0 is given up, bytes 0 to 2097151 of the disk: the parent's are seen there from now on"
vhdctl read --length 8192 c.vhd >now
same_bytes now data

# On a terminal it is asked.
answer() { # ANSWER
    python3 - "$1" "$VHDCTL" <<'PY'
import os, pty, sys
answer, vhdctl = sys.argv[1:]
pid, fd = pty.fork()
if pid == 0:
    os.execv(vhdctl, [vhdctl, "repair", "x.vhd"])
seen = b""
while b"[y/N] " not in seen:
    seen += os.read(fd, 1000)
os.write(fd, answer.encode() + b"\n")
try:
    while data := os.read(fd, 1000):
        seen += data
except OSError:
    pass
open("said", "wb").write(seen.replace(b"\r", b""))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
}
cp broken.vhd x.vhd
rm x.vhd.undo
run answer n
is "$status" 1 "$out$err"
same_bytes x.vhd broken.vhd
run answer y
is "$status" 0 "$out$err$(<said)"
[[ $(<said) == *"block 1 is given up"*"[y/N] y"*"Mended"* ]] || fail "$(<said)"
run vhdctl check x.vhd
is "$status" 0

# Two good footers that contradict each other.
cp d.vhd x.vhd
rm x.vhd.undo
end=$(($(stat -c %s x.vhd) - 512))
poke x.vhd end 68 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
cp x.vhd broken.vhd
run vhdctl read --length 1 x.vhd
[[ $err == *"vhdctl repair --footer; opened read-only" ]] || fail "$err"
run vhdctl repair --yes x.vhd
is "$status" 1
is "$out" "left (footers-differ): the footer copy and the footer at the end of the file hold different uuids: the image can only be read; look at its content, then choose one with vhdctl repair --footer
Nothing of this was mended."
same_bytes x.vhd broken.vhd
run vhdctl repair --footer=last x.vhd
is "$status" 0 "$err"
is "$out" "footers-differ: the footer at offset $end is right; the copy at offset 0 is written anew from it
$mended"
cmp -n 512 -i 0:$end x.vhd x.vhd || fail "not the last one"
is "$(xxd -p -l4 -s68 x.vhd)" aaaaaaaa
run vhdctl repair --undo x.vhd
same_bytes x.vhd broken.vhd
run vhdctl repair --footer=first x.vhd
is "$status" 0 "$err"
is "$out" "footers-differ: the footer copy at offset 0 is right; the footer at offset $end is written anew from it
$mended"
same_bytes x.vhd d.vhd
# One that leads nowhere is not taken.
cp d.vhd y.vhd
poke y.vhd end 16 0000000000000400
before=$(sha256sum <y.vhd)
run vhdctl repair --footer=last y.vhd
is "$status" 1
[[ $err == *"nothing was changed, choose the other footer" ]] || fail "$err"
is "$(sha256sum <y.vhd)" "$before"
