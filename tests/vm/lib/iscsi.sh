# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
# LUNs over iSCSI inside the guest: targets, and open-iscsi as their initiator.
# Sourced after guest.sh.

target_iscsi=/sys/kernel/config/target/iscsi
iscsi_portal=127.0.0.1:3260

# ------------------------------------------------------------------ targets

# A target name made of a LUN's name.
iscsi_target() { # NAME
    printf 'iqn.2003-01.org.linux-iscsi.vm:%s\n' "$1"
}

# Exports a backstore to whoever comes, as LUN 0 of a target of its own.
iscsi_export() { # NAME STORE-PATH
    local target tpg
    target=$(iscsi_target "$1")
    tpg=$target_iscsi/$target/tpgt_1
    [[ $2 != */user_*/* ]] || echo "$lun_cmd_time_out" >"$2/attrib/cmd_time_out"
    mkdir -p "$tpg/np/$iscsi_portal" "$tpg/lun/lun_0"
    ln -s "$2" "$tpg/lun/lun_0/store"
    echo 0 >"$tpg/attrib/authentication"
    echo 1 >"$tpg/attrib/generate_node_acls"
    echo 1 >"$tpg/attrib/cache_dynamic_acls"
    echo 0 >"$tpg/attrib/demo_mode_write_protect"
    echo 1 >"$tpg/enable"
}

# Takes away what iscsi_export made, sessions included.
iscsi_unexport() { # NAME
    local target tpg
    target=$target_iscsi/$(iscsi_target "$1")
    tpg=$target/tpgt_1
    echo 0 >"$tpg/enable"
    rm "$tpg/lun/lun_0/store"
    rmdir "$tpg/lun/lun_0" "$tpg/np/$iscsi_portal" "$tpg" "$target"
}

# ---------------------------------------------------------------- initiator

# iscsid forks itself: it is no job of the script's that its end would kill
# before the sessions are ended.
iscsi_initiator_start() {
    modprobe -a iscsi_tcp scsi_transport_iscsi
    mkdir -p /run/lock/iscsi /etc/iscsi
    pgrep -x iscsid >/dev/null || iscsid -i "$(iscsi_name_file iqn.1993-08.org.debian:01:vm)"
    wait_until 20 "iscsid" iscsid_answers
}

iscsid_answers() {
    iscsiadm -m session >/dev/null 2>&1 || [[ $? -eq 21 ]]
}

iscsi_name_file() { # INITIATOR-NAME
    echo "InitiatorName=$1" >/etc/iscsi/initiatorname.iscsi
    echo /etc/iscsi/initiatorname.iscsi
}

iscsi_initiator() { # IFACE: its initiator name
    printf 'iqn.1993-08.org.debian:01:%s\n' "$1"
}

# An initiator is an interface of open-iscsi with a name of its own, so that one
# machine can be many.
iscsi_initiator_add() { # IFACE
    quietly iscsiadm -m iface -I "$1" -o new
    quietly iscsiadm -m iface -I "$1" -o update -n iface.transport_name -v tcp
    quietly iscsiadm -m iface -I "$1" -o update -n iface.initiatorname -v "$(iscsi_initiator "$1")"
}

# Finds the target by asking the portal, as a user does, and logs in.
iscsi_login() { # IFACE TARGET [USER PASSWORD]
    local record=(-m node -I "$1" -T "$2" -p "$iscsi_portal")
    quietly iscsiadm -m discovery -t sendtargets -p "$iscsi_portal" -I "$1" || return
    if [[ -n ${3:-} ]]; then
        iscsiadm "${record[@]}" -o update -n node.session.auth.authmethod -v CHAP || return
        iscsiadm "${record[@]}" -o update -n node.session.auth.username -v "$3" || return
        iscsiadm "${record[@]}" -o update -n node.session.auth.password -v "$4" || return
    fi
    # Else a refused password is tried for minutes.
    iscsiadm "${record[@]}" -o update -n node.session.initial_login_retry_max -v 1 || return
    quietly iscsiadm "${record[@]}" --login
}

iscsi_logout() { # IFACE TARGET
    quietly iscsiadm -m node -I "$1" -T "$2" -p "$iscsi_portal" --logout
}

# The session's number.
iscsi_session() { # TARGET [IFACE]
    local session
    for session in /sys/class/iscsi_session/session*; do
        [[ $(<"$session/targetname") == "$1" ]] || continue
        [[ -z ${2:-} || $(<"$session/initiatorname") == "$(iscsi_initiator "$2")" ]] || continue
        printf '%s\n' "${session##*session}"
        return
    done
    return 1
}

iscsi_disk_paths() { # TARGET [IFACE]
    local session
    session=$(iscsi_session "$@") || return
    printf '%s\n' "/sys/class/iscsi_session/session$session"/device/target*/*/block/*
}

iscsi_has_disk() { # TARGET [IFACE]
    local path
    path=$(iscsi_disk_paths "$@") || return
    [[ -n $path && -b /dev/${path##*/} ]]
}

# The disk of LUN 0 that a session brought: /dev/sdX.
iscsi_disk() { # TARGET [IFACE]
    local path
    wait_until 60 "the disk of $1" iscsi_has_disk "$@"
    path=$(iscsi_disk_paths "$@")
    printf '/dev/%s\n' "${path##*/}"
}

iscsi_logout_all() {
    [[ -e /sys/class/iscsi_session ]] || return 0
    # 21: there is none.
    iscsiadm -m node -u >/dev/null 2>&1 || [[ $? -eq 21 ]] || return 1
    iscsiadm -m node -o delete >/dev/null 2>&1 || [[ $? -eq 21 ]] || return 1
    rm -f /etc/iscsi/ifaces/*
}

# -------------------------------------------------------------- clearing away

# Instead of guest.sh's: every fabric, and the initiator first.
luns_remove_all() {
    iscsi_logout_all && quietly targetcli clearconfig confirm=True
}
