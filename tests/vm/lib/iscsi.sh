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

# A target with the backstore as its LUN 0, which nobody can log in to yet.
iscsi_target_make() { # NAME STORE-PATH
    local tpg
    tpg=$(iscsi_tpg "$1")
    [[ $2 != */user_*/* ]] || echo "$lun_cmd_time_out" >"$2/attrib/cmd_time_out"
    mkdir -p "$tpg/np/$iscsi_portal" "$tpg/lun/lun_0"
    ln -s "$2" "$tpg/lun/lun_0/store"
}

iscsi_tpg() { # NAME
    printf '%s/%s/tpgt_1\n' "$target_iscsi" "$(iscsi_target "$1")"
}

# Exports a backstore to whoever comes, as LUN 0 of a target of its own.
iscsi_export() { # NAME STORE-PATH
    local tpg
    tpg=$(iscsi_tpg "$1")
    iscsi_target_make "$@"
    echo 0 >"$tpg/attrib/authentication"
    echo 1 >"$tpg/attrib/generate_node_acls"
    echo 1 >"$tpg/attrib/cache_dynamic_acls"
    echo 0 >"$tpg/attrib/demo_mode_write_protect"
    echo 1 >"$tpg/enable"
}

# Exports a backstore to those alone whom iscsi_allow names.
iscsi_export_closed() { # NAME STORE-PATH
    local tpg
    tpg=$(iscsi_tpg "$1")
    iscsi_target_make "$@"
    echo 1 >"$tpg/attrib/authentication"
    echo 0 >"$tpg/attrib/generate_node_acls"
    echo 1 >"$tpg/enable"
}

# One more LUN of a target.
iscsi_add_lun() { # NAME LUN STORE-PATH
    local tpg
    tpg=$(iscsi_tpg "$1")
    echo "$lun_cmd_time_out" >"$3/attrib/cmd_time_out"
    mkdir "$tpg/lun/lun_$2"
    ln -s "$3" "$tpg/lun/lun_$2/store"
}

# An ACL: the initiator may log in with CHAP, and sees this LUN and no other.
iscsi_allow() { # NAME IFACE USER PASSWORD LUN
    local tpg acl
    tpg=$(iscsi_tpg "$1")
    acl=$tpg/acls/$(iscsi_initiator "$2")
    mkdir -p "$acl/lun_$5"
    printf %s "$3" >"$acl/auth/userid"
    printf %s "$4" >"$acl/auth/password"
    ln -s "$tpg/lun/lun_$5" "$acl/lun_$5/lun"
    echo 0 >"$acl/lun_$5/write_protect"
}

# Takes away what the functions above made, sessions included.
iscsi_unexport() { # NAME
    local tpg acl lun
    tpg=$(iscsi_tpg "$1")
    echo 0 >"$tpg/enable"
    for acl in "$tpg"/acls/*/; do
        rm -f "$acl"lun_*/lun
        rmdir "$acl"lun_* "$acl"
    done
    for lun in "$tpg"/lun/lun_*/; do
        rm "$lun/store"
        rmdir "$lun"
    done
    rmdir "$tpg/np/$iscsi_portal" "$tpg" "$(dirname "$tpg")"
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

# ----------------------------------------------------------- all of it in one

# What lun_create and lun_remove are over loopback: the initiator "mine", which
# the script has added, alone may log in, with CHAP.
iscsi_user=me
iscsi_password=0123456789ab

iscsi_lun_create() { # SUBTYPE NAME SIZE CFGSTRING
    backstore_create "$@" >&2
    iscsi_export_closed "$2" "$(backstore_path "$2")"
    iscsi_allow "$2" mine "$iscsi_user" "$iscsi_password" 0
    iscsi_login mine "$(iscsi_target "$2")" "$iscsi_user" "$iscsi_password"
    iscsi_disk "$(iscsi_target "$2")" mine
}

iscsi_lun_remove() { # NAME
    iscsi_logout mine "$(iscsi_target "$1")"
    iscsi_unexport "$1"
    backstore_remove "$1"
}

# -------------------------------------------------------------- clearing away

# Instead of guest.sh's: every fabric, and the initiator first.
luns_remove_all() {
    iscsi_logout_all && quietly targetcli clearconfig confirm=True
}
