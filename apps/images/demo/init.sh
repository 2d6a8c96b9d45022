#!/bin/sh
# /init of the demo guest: process 1 until the guest is ready, and the script that udhcpc calls.
#
# Process 1 brings up disks, configuration and network, tells the serial console what it found, one line each with the
# prefix "cloudsite: ", and then leaves to BusyBox' init, which keeps a root shell on that console. The root file system
# is the initramfs: nothing that is written survives a reboot.
#
# Each tool costs some 10 ms under software emulation, so the shell's own means come first here.

export PATH=/bin HOME=/ TERM=linux
CONFIG=/run/config/openstack/latest
LEASE=/run/lease            # a FIFO: "<address>/<prefix>" is written for every lease
LEASE_TIMEOUT_S=10
TAB='	'

say() { printf 'cloudsite: %s\n' "$1"; }

load() { # every module of one group; the builder numbered them in the order of their dependencies
    for module in /lib/modules/"$1"/*.ko; do
        insmod "$module"
    done
}

# --- udhcpc's script: $1 is the event, the lease is in the environment -------------------------------------------

apply_lease() {
    case $1 in
        deconfig) ip addr flush dev "$interface"; ip link set "$interface" up ;;
        renew | bound)
            [ "$1" = bound ] && ip addr flush dev "$interface"
            [ -n "$mtu" ] && ip link set "$interface" mtu "$mtu"
            ip addr replace "$ip/$mask" broadcast + dev "$interface"
            apply_routes
            apply_resolver
            # Opened for reading too, or else this would wait for a reader once process 1 has stopped listening.
            [ "$1" = bound ] && echo "$ip/$mask" 1<>"$LEASE"
            ;;
    esac
}

apply_routes() { # option 121 replaces option 3 where both are given (RFC 3442)
    if [ -z "$staticroutes" ]; then
        [ -n "$router" ] && ip route replace default via "${router%% *}" dev "$interface"
        return
    fi
    set -- $staticroutes
    while [ $# -ge 2 ]; do
        if [ "$2" = 0.0.0.0 ]; then
            ip route replace "$1" dev "$interface"
        else
            ip route replace "$1" via "$2" dev "$interface"
        fi
        shift 2
    done
}

apply_resolver() {
    [ -n "$dns" ] || return
    {
        [ -n "$search$domain" ] && echo "search ${search:-$domain}"
        for server in $dns; do
            echo "nameserver $server"
        done
    } >/etc/resolv.conf
}

# --- process 1 ---------------------------------------------------------------------------------------------------

start_system() {
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    mount -t devtmpfs devtmpfs /dev
    mkdir -p /dev/pts
    mount -t devpts devpts /dev/pts
    # What poweroff, reboot and halt without -f send to process 1: user data may want to end with one of them.
    trap 'poweroff -f' USR2
    trap 'reboot -f' TERM
    trap 'halt -f' USR1
}

mount_config_drive() { # fails when no disk is an ISO 9660 volume labelled config-2
    for device in /sys/block/*; do
        device=/dev/${device##*/}
        # The volume identifier: 32 bytes, filled up with spaces, 40 bytes into sector 16.
        label=$(dd if="$device" bs=1 skip=32808 count=32 2>/dev/null)
        case $label in
            'config-2 '*) mount -t iso9660 -o ro "$device" /run/config && return ;;
        esac
    done
    return 1
}

read_metadata() { # into $hostname, $instance and, one key a line, $keys
    hostname='' instance='' keys='' name=''
    [ -r "$CONFIG/meta_data.json" ] || return
    awk -f /lib/metadata.awk "$CONFIG/meta_data.json" >/run/metadata
    while IFS=$TAB read -r field value; do
        case $field in
            uuid) instance=$value ;;
            hostname) hostname=$value ;;
            name) name=$value ;;
            key) keys="$keys$value
" ;;
        esac
    done </run/metadata
    hostname=${hostname:-$name}
}

set_hostname() {
    [ -n "$1" ] || return
    echo "$1" >/proc/sys/kernel/hostname
    echo "127.0.0.1 localhost $1" >/etc/hosts
}

fingerprint() { # of the public key $1 (type, blob, comment), as ssh-keygen -l prints it
    set -f
    set -- $1
    set +f
    if [ $# -lt 2 ]; then
        echo unreadable
        return
    fi
    hash=$(printf %s "$2" | base64 -d 2>/dev/null | sha256sum)
    hash=$(printf %s "${hash%% *}" | xxd -r -p | base64)
    shift 2
    printf 'SHA256:%s %s\n' "${hash%=}" "${*:-no comment}"
}

say_keys() {
    printf %s "$keys" | while read -r key; do
        say "ssh-key=$(fingerprint "$key")"
    done
}

say_user_data() {
    if [ ! -s "$CONFIG/user_data" ]; then
        say user-data=none
        return
    fi
    hash=$(sha256sum <"$CONFIG/user_data")
    say "$(printf 'user-data=%.12s %s bytes' "$hash" "$(stat -c %s "$CONFIG/user_data")")"
}

run_user_data() { # only what says that it is a script
    [ -s "$CONFIG/user_data" ] || return
    [ "$(head -c 2 "$CONFIG/user_data")" = '#!' ] || return
    sh "$CONFIG/user_data" </dev/null
    echo # the next line begins at the left even when the script's last one was left open
}

start_dhcp() { # on the first Ethernet device, for ever: a lease that comes late is applied too
    mkfifo "$LEASE"
    exec 3<>"$LEASE"
    for device in /sys/class/net/*; do
        read -r type <"$device/type"
        [ "$type" = 1 ] || continue
        ip link set "${device##*/}" up
        udhcpc -f -i "${device##*/}" -s /init -O mtu -O staticroutes -O search ${1:+-x "hostname:$1"} \
            -T 1 -t 5 -A 3 >/dev/null 2>&1 3>&- &
        return
    done
    echo none >&3
}

say_address() {
    read -r -t "$LEASE_TIMEOUT_S" address <&3
    exec 3<&-
    say "address=${address:-none}"
}

main() {
    start_system
    load disk
    mount_config_drive
    read_metadata
    set_hostname "$hostname"
    say "hostname=${hostname:-none}"
    say "instance-id=${instance:-none}"
    load net
    start_dhcp "$hostname"
    load power
    acpid -l /dev/null -p /run/acpid.pid 3>&-
    say_keys
    say_user_data
    say_address
    run_user_data
    say ready
    exec init # takes process 1 over and keeps a root shell on the console, see /etc/inittab
}

if [ $$ -eq 1 ]; then
    main
else
    apply_lease "$1"
fi
