#!/bin/sh
# /init of the demo guest: process 1 until the guest is ready, and the script that the DHCP clients and uevent call.
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
READY=/run/ready            # is there once process 1 has left: what happens later is told by whoever notices
TAB='	'

say() { # again if a child ends at that very moment: the signal has BusyBox' printf fail, and what it was to write is lost
    for _ in 1 2 3 4 5 6 7 8; do
        printf 'cloudsite: %s\n' "$1" && return
    done
}

load() { # every module of one group; the builder numbered them in the order of their dependencies
    for module in /lib/modules/"$1"/*.ko; do
        insmod "$module"
    done
}

# --- udhcpc's script: $1 is the event, the lease is in the environment -------------------------------------------

apply_lease() {
    case $1 in
        deconfig) ip -4 addr flush dev "$interface"; ip link set "$interface" up ;;
        renew | bound)
            [ "$1" = bound ] && ip -4 addr flush dev "$interface"
            [ -n "$mtu" ] && ip link set "$interface" mtu "$mtu"
            ip addr replace "$ip/$mask" broadcast + dev "$interface"
            apply_routes
            apply_resolver
            [ "$1" = bound ] && tell_lease "$ip/$mask"
            ;;
    esac
}

tell_lease() {
    if [ -e "$READY" ]; then
        say "address=$1" >/dev/console
    else
        # Opened for reading too, or else this would wait for a reader once process 1 has stopped listening.
        echo "$1" 1<>"$LEASE"
    fi
}

apply_routes() { # option 121 replaces option 3 where both are given (RFC 3442); of several cards the first is preferred
    read -r number <"/sys/class/net/$interface/ifindex"
    if [ -z "$staticroutes" ]; then
        [ -n "$router" ] && set -- 0.0.0.0/0 "${router%% *}" || return
    else
        set -- $staticroutes
    fi
    while [ $# -ge 2 ]; do
        if [ "$2" = 0.0.0.0 ]; then
            ip route replace "$1" dev "$interface" metric "$number"
        else
            ip route replace "$1" via "$2" dev "$interface" metric "$number"
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

apply_resolver6() { # only where no server is known yet
    [ -s /etc/resolv.conf ] && return
    for server in $new_domain_name_servers; do
        echo "nameserver $server"
    done >/etc/resolv.conf
}

# --- a card that comes later: uevent calls, what happened is in the environment ----------------------------------

apply_event() {
    [ "$ACTION $SUBSYSTEM" = "add net" ] && is_card "$INTERFACE" || return
    start_card "$INTERFACE"
    start_dhcp6
    known=$(addresses6)
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        sleep 1
        for address in $(addresses6); do
            case " $known " in
                *" $address "*) ;;
                *)
                    say "address6=$address" >/dev/console
                    known="$known $address"
                    ;;
            esac
        done
    done
}

# --- cards -------------------------------------------------------------------------------------------------------

is_card() { # Ethernet devices only
    read -r type 2>/dev/null <"/sys/class/net/$1/type" && [ "$type" = 1 ]
}

start_card() { # for ever: a lease that comes late is applied too
    read -r name </proc/sys/kernel/hostname
    [ "$name" != "(none)" ] || name=''
    ip link set "$1" up
    udhcpc -f -i "$1" -s /init -O mtu -O staticroutes -O search ${name:+-x "hostname:$name"} -T 1 -t 5 -A 3 \
        >/dev/null 2>&1 3>&- &
}

start_dhcp6() { # one client for all cards, as there is one socket; it is not asked to give anything back
    [ -e /run/dhcp6c.pid ] && read -r client </run/dhcp6c.pid && kill -KILL "$client"
    set --
    : >/run/dhcp6c.conf
    for device in /sys/class/net/*; do
        is_card "${device##*/}" || continue
        set -- "$@" "${device##*/}"
        # No two cards may share an association.
        echo "interface ${device##*/} { send ia-na $#; send rapid-commit; request domain-name-servers; script \"/init\"; };
            id-assoc na $# { };"
    done >>/run/dhcp6c.conf
    dhcp6c -f -c /run/dhcp6c.conf -p /run/dhcp6c.pid "$@" >/dev/null 2>&1 3>&- &
}

addresses6() { # of global scope, a line each
    ip -6 -o addr show scope global | while read -r _ _ _ address _; do
        echo "${address%/*}"
    done
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
    sh "$CONFIG/user_data" </dev/null 3>&-
    echo # the next line begins at the left even when the script's last one was left open
}

read_network_data() { # into $wanted4 and $wanted6 how many addresses are to come, into $dhcp6 whether one has to ask
    wanted4=1 wanted6=0 dhcp6=''
    [ -r "$CONFIG/network_data.json" ] || return
    wanted4=0
    while read -r line; do
        case $line in
            '"type": "ipv4'*) wanted4=$((wanted4 + 1)) ;;
            '"type": "ipv6_dhcpv6'*) wanted6=$((wanted6 + 1)) dhcp6=yes ;;
            '"type": "ipv6'*) wanted6=$((wanted6 + 1)) ;;
        esac
    done <"$CONFIG/network_data.json"
}

prepare_ipv6() { # for devices to come: at once, as every card's address is its own here
    for setting in accept_dad dad_transmits router_solicitation_delay; do
        echo 0 >"/proc/sys/net/ipv6/conf/default/$setting"
    done
}

start_cards() {
    mkfifo "$LEASE"
    exec 3<>"$LEASE"
    found=''
    for device in /sys/class/net/*; do
        is_card "${device##*/}" && start_card "${device##*/}" && found=yes
    done
    [ -n "$found" ] || wanted4=0 wanted6=0
    [ -z "$dhcp6" ] || start_dhcp6
}

say_addresses() {
    told=0
    say_leases "$LEASE_TIMEOUT_S"
    [ "$told" = 0 ] && say address=none
    [ "$wanted6" = 0 ] || say_addresses6
}

say_leases() { # until all are there, or none has come for $1 seconds
    while [ "$told" -lt "$wanted4" ] && read -r -t "$1" address <&3; do
        say "address=$address"
        told=$((told + 1))
    done
}

say_addresses6() {
    tries=0
    set --
    while [ $# -lt "$wanted6" ] && [ "$tries" -lt $((LEASE_TIMEOUT_S * 4)) ]; do
        [ "$tries" = 0 ] || sleep 0.25
        tries=$((tries + 1))
        set -- $(addresses6)
    done
    for address in "${@:-none}"; do
        say "address6=$address"
    done
}

main() {
    start_system
    load disk
    mount_config_drive
    read_metadata
    set_hostname "$hostname"
    read_network_data
    say "hostname=${hostname:-none}"
    say "instance-id=${instance:-none}"
    prepare_ipv6
    load net
    start_cards
    load power
    acpid -l /dev/null -p /run/acpid.pid 3>&-
    say_keys
    say_user_data
    say_addresses
    uevent /init card 3>&- &
    run_user_data
    : >"$READY"
    say_leases 0.1 # those that came after the wait for them
    exec 3<&-
    say ready
    exec init # takes process 1 over and keeps a root shell on the console, see /etc/inittab
}

if [ $$ -eq 1 ]; then
    main
else
    case $1 in
        card) apply_event & ;;
        '') apply_resolver6 ;;
        *) apply_lease "$1" ;;
    esac
fi
