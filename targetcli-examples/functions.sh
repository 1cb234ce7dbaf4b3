# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
# What the examples share. Sourced by each of them.

target=/sys/kernel/config/target

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

wrong_usage() {
    echo "${0##*/}: $*; see '${0##*/} --help'" >&2
    exit 2
}

# Commands that take back what was done so far, the last first. A script that
# ends before it says "done_well" has failed: then they are run.
undo=()
done_well() {
    undo=()
}

take_back() {
    local status=$? i
    trap - EXIT
    # Who is impatient and interrupts this, too, must not be left with half of it.
    trap '' INT TERM HUP
    set +e
    for ((i = ${#undo[@]} - 1; i >= 0; i--)); do
        # In a subshell: one that fails must not keep the others from it.
        (eval "${undo[i]}") >/dev/null 2>&1
    done
    exit "$status"
}
trap take_back EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# later COMMAND...: how to take back what comes next. Said before targetcli is
# called: interrupted, that leaves halves.
later() {
    undo+=("$(printf '%q ' "$@")")
}

# ------------------------------------------------------------------ the host

# What targetcli said, in one line, and without its greeting to a new user.
one_line() { # TEXT
    local text=${1#Warning: Could not load preferences file*$'\n'}
    printf '%s\n' "${text//$'\n'/; }"
}

# targetcli, which may go wrong in its own words alone.
cli() {
    local said
    said=$(targetcli "$@" 2>&1) || die "targetcli $1 says: $(one_line "$said")"
}

# With preferences that nobody has changed but this: what you set for yourself
# stays as it is.
cli_without_default_portal() {
    (
        TARGETCLI_HOME=$(mktemp -d)
        export TARGETCLI_HOME
        trap 'rm -rf "$TARGETCLI_HOME"' EXIT
        cli set global auto_add_default_portal=false
        cli "$@"
    )
}

prepare_host() { # MODULE...
    local tool root lock
    [[ $(id -u) -eq 0 ]] || die "this changes the kernel's target and must be run as root"
    for tool in targetcli vhdctl gdbus; do
        command -v "$tool" >/dev/null || die "$tool is not installed"
    done
    # One after the other: what is there is asked first and relied on then.
    exec {lock}>/run/tcmu-vhd-examples.lock
    flock -w 60 "$lock" || die "another of these scripts is at work"
    modprobe -qa target_core_user "$@" || die "this kernel lacks one of the modules target_core_user $*"
    mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
    # Asking for it starts tcmu-runner where it does not run yet.
    gdbus call --system -d org.kernel.TCMUService1 -o / -m org.freedesktop.DBus.Peer.Ping >/dev/null 2>&1 ||
        die "tcmu-runner does not answer; 'systemctl status tcmu-runner' may tell why"
    gdbus call --system -d org.kernel.TCMUService1 -o /org/kernel/TCMUService1/vhd \
        -m org.freedesktop.DBus.Properties.Get org.kernel.TCMUService1 ConfigDesc >/dev/null 2>&1 ||
        die "tcmu-runner has no vhd handler: install handler_vhd.so and restart tcmu-runner when no LUN is in use"
    # Debian 12 does not make these; without pr no reservation outlives a power
    # loss, and asking for one is an error.
    root=$(cat "$target/dbroot" 2>/dev/null) || root=/etc/rtslib-fb-target
    mkdir -p "$root/pr" "$root/alua"
}

check_name() { # NAME
    [[ $1 =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] ||
        wrong_usage "'$1' is no name for a LUN: letters, digits, '.', '_' and '-' make one"
}

check_initiator() { # NAME
    [[ -n $1 ]] || wrong_usage "--initiator is missing"
    [[ $1 =~ ^(iqn\.[0-9]{4}-[0-9]{2}\.[a-z0-9.:-]+|eui\.[0-9a-fA-F]{16}|naa\.[0-9a-fA-F]{16,32})$ ]] ||
        wrong_usage "'$1' is no initiator name (on Linux it stands in /etc/iscsi/initiatorname.iscsi)"
}

# The absolute path of an image, which must be there. Links stay: one with a
# plain name is the way round a path that no config string can hold.
image_path() { # IMAGE
    [[ -f $1 ]] || die "there is no image $1"
    realpath -s "$1"
}

# Others (a space, say) are torn apart by targetcli before the handler could tell.
check_config_string() { # CONFIG
    local other='[^][A-Za-z0-9?;&*$!#,=_\+/.<>()~@:%-]'
    [[ ! $1 =~ $other ]] ||
        die "targetcli cannot take '${BASH_REMATCH[0]}' in '$1': make a symbolic link with a plain name and give that"
}

# ----------------------------------------------------------------- backstores

# Where the kernel keeps a backstore of ours: .../core/user_N/NAME.
backstore() { # NAME
    local path
    for path in "$target"/core/user_*/"$1"; do
        [[ ! -d $path ]] || { printf '%s\n' "$path"; return; }
    done
    return 1
}

backstore_is() { # NAME
    backstore "$1" >/dev/null
}

# size= must be there and is not obeyed: the LUN is as large as the image.
# cmd_time_out can only be set before the LUN is exported; with the kernel's 30
# seconds an initiator would send a slow command again while it still runs.
backstore_add() { # NAME IMAGE OPTION...
    local config=$2 option
    for option in "${@:3}"; do
        config+=";$option"
    done
    check_config_string "$config"
    later cli /backstores/user:vhd delete "$1"
    cli /backstores/user:vhd create "name=$1" size=1 "cfgstring=$config"
    echo 0 >"$(backstore "$1")/attrib/cmd_time_out"
}

backstore_remove() { # NAME
    cli /backstores/user:vhd delete "$1"
}

# ---------------------------------------------------------------------- iSCSI

iscsi_tpg() { # TARGET
    printf '%s/iscsi/%s/tpgt_1\n' "$target" "$1"
}

# The initiators that are logged in to a target under a name of an ACL.
iscsi_is_logged_in() { # TARGET INITIATOR
    local info
    info=$(cat "$(iscsi_tpg "$1")/acls/$2/info" 2>/dev/null) || return 1
    [[ $info != *"No active iSCSI Session"* ]]
}

# PORTAL is ADDRESS or ADDRESS:PORT; an IPv6 address stands in brackets. Sets
# portal_address and portal_port. The kernel listens at any address, even where
# no packet can ever come to it.
check_portal() { # PORTAL
    portal_address=$1 portal_port=3260
    if [[ $1 =~ ^(\[[^]]+\]|[^:]+):([0-9]+)$ ]]; then
        portal_address=${BASH_REMATCH[1]} portal_port=${BASH_REMATCH[2]}
    fi
    portal_address=${portal_address#\[}
    portal_address=${portal_address%\]}
    [[ $portal_address == 0.0.0.0 || $portal_address == :: ||
        -n $(ip -o address show to "$portal_address" 2>/dev/null) ]] ||
        die "'$portal_address' is no address of this machine ('ip address' shows them)"
}

# Listens where check_portal was told.
iscsi_target_add() { # TARGET
    local said
    later cli /iscsi delete "$1"
    cli_without_default_portal /iscsi create "$1"
    said=$(targetcli "/iscsi/$1/tpg1/portals" create "$portal_address" "$portal_port" 2>&1) ||
        die "cannot listen at $portal_address port $portal_port; another target, or another program, may have that port: targetcli says: $(one_line "$said")"
    # Who has no ACL does not get in, and who has one proves who he is.
    echo 0 >"$(iscsi_tpg "$1")/attrib/generate_node_acls"
    echo 1 >"$(iscsi_tpg "$1")/attrib/authentication"
}

# The password goes straight to the kernel: an argument of targetcli would be
# seen by every user of this machine. targetcli shows and saves it all the same.
# No LUN is mapped: which one the initiator sees is said next.
iscsi_acl_add() { # TARGET INITIATOR USER PASSWORD
    local auth
    later cli "/iscsi/$1/tpg1/acls" delete "$2"
    cli "/iscsi/$1/tpg1/acls" create "$2" add_mapped_luns=false
    auth=$(iscsi_tpg "$1")/acls/$2/auth
    printf %s "$3" >"$auth/userid"
    printf %s "$4" >"$auth/password"
}

# What the kernel would take otherwise than it is meant: NULL is how it is told
# to forget one, and it takes 255 bytes at most.
check_chap() { # WHAT TEXT
    [[ $2 != *[[:cntrl:]]* ]] || die "the CHAP $1 has a control character in it (a line end of Windows?)"
    [[ $2 != NULL* ]] || die "a CHAP $1 must not begin with NULL: the kernel takes that for none"
    [[ ${#2} -le 255 ]] || die "a CHAP $1 must have at most 255 characters"
}

# Reads the CHAP password from a file's first line, or asks for it.
read_password() { # FILE|""
    local password=
    if [[ -n $1 ]]; then
        [[ -r $1 && ! -d $1 ]] || die "there is no password file $1, or it may not be read"
        IFS= read -r password <"$1" || [[ -n $password ]] || die "there is no password in $1"
    elif [[ -t 0 ]]; then
        IFS= read -r -s -p 'CHAP password: ' password
        echo >&2
    else
        wrong_usage "--password-file is missing"
    fi
    # Windows' initiator takes 12 to 16 characters and no others.
    [[ ${#password} -ge 12 ]] || die "a CHAP password must have at least 12 characters"
    check_chap password "$password"
    printf '%s\n' "$password"
}
