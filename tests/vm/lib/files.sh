# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
# Files on a mounted file system, and whether they are still what they were.
# Sourced after guest.sh.

# Their sums go to $VM_DIR/sums, which is not on that file system.
files_write() { # MOUNTED
    local n
    for n in {1..8}; do
        random_bytes $((n * 300001)) >"$1/file$n"
    done
    (cd "$1" && sha256sum file*) >"$VM_DIR/sums"
}

files_compare() { # MOUNTED
    (cd "$1" && sha256sum --quiet -c "$VM_DIR/sums")
}
