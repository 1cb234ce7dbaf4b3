# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
# targetcli-examples/golden-clients and what it is tried on.  Sourced after
# guest.sh and iscsi.sh.

example=$VM_CHECKOUT/targetcli-examples/golden-clients
golden=$VM_DIR/golden.vhd
golden_password=0123456789ab

golden_make() {
    echo "$golden_password" >"$VM_DIR/password"
    vhdctl create --size 32M "$golden"
    random_bytes 8M | vhdctl write "$golden"
}

golden_target() {
    echo iqn.2003-01.org.linux-iscsi.golden:golden
}

golden_add() { # CLIENT
    "$example" add --golden "$golden" --initiator "$(iscsi_initiator "$1")" --user "$1" \
        --password-file "$VM_DIR/password" --portal "$iscsi_portal" "$1"
}
