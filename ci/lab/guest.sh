#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# Process 1 of a machine of the lab: makes it ready, says so, and runs what it is sent.
#
# /lab/machine, which machine.py writes, sets MACHINE, MACHINES, ADDRESS, OTHER, MTU, MODULES and
# DRIVE_NAMES, WRITE_THROUGH, the drives whose cache the kernel is told not to flush, and RDMA,
# which is not empty where there is to be Soft-RoCE.
# Two ports connect it with the outside: `memkv.command`, where scripts come in and what they say
# goes out, and `memkv.log`, for what scripts say while they run.
#
# `/init links` names the drives that are there: by serial in /lab/drives, and in /dev/disk/by-id as
# udev does. mdev calls it whenever a drive comes or goes.

export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root OUT=/out

WAIT_STEPS_MAX=600 # of 0.1 s

drive_links() {
    mkdir -p /lab/drives /dev/disk/by-id
    for path in /lab/drives/* /dev/disk/by-id/*; do
        [ -e "$path" ] || rm -f "$path"
    done
    for space in /sys/block/nvme*; do
        [ -r "$space/device/serial" ] || continue
        read -r serial <"$space/device/serial"
        ln -sfn "/dev/${space##*/}" "/lab/drives/$serial"
        ln -sfn "../../${space##*/}" "/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_$serial"
    done
}

if [ "${1:-}" = links ]; then
    drive_links
    exit 0
fi

die() {
    echo "lab: $*"
    poweroff -f
}

wait_for_drive() {
    local step=0
    until drive_links && [ -b "/lab/drives/$1" ]; do
        step=$((step + 1))
        [ $step -lt $WAIT_STEPS_MAX ] || die "drive $1 does not come"
        sleep 0.1
    done
}

# The device of a port, by the name that QEMU gave it.
port() {
    local path name step=0
    while :; do
        for path in /sys/class/virtio-ports/*; do
            if [ -r "$path/name" ] && read -r name <"$path/name" && [ "$name" = "$1" ]; then
                echo "/dev/${path##*/}"
                return
            fi
        done
        step=$((step + 1))
        [ $step -lt $WAIT_STEPS_MAX ] || die "port $1 does not come"
        sleep 0.1
    done
}

mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t sysfs none /sys
mkdir -p /dev/shm /dev/pts
mount -t tmpfs none /dev/shm
mount -t tmpfs none /tmp
# What the shell itself does not have a file for.
ln -sfn /proc/self/fd /dev/fd

. /lab/machine
export MACHINE MACHINES ADDRESS OTHER
hostname "machine-$MACHINE"
ip link set lo up
mdev -d
for module in $MODULES; do
    modprobe "$module" || die "module $module cannot be loaded"
done
if [ -n "$ADDRESS" ]; then
    ip link set eth0 mtu "$MTU" up && ip address add "$ADDRESS/24" dev eth0 ||
        die "the network cannot be set up"
fi
if [ -n "$RDMA" ]; then
    rdma link add rxe0 type rxe netdev eth0 || die "there is no Soft-RoCE"
fi
DRIVES=
for name in $DRIVE_NAMES; do
    wait_for_drive "$name"
    DRIVES="$DRIVES /lab/drives/$name"
done
DRIVES=${DRIVES# }
export DRIVES
for name in $WRITE_THROUGH; do
    space=$(readlink "/lab/drives/$name")
    echo "write through" >"/sys/block/${space##*/}/queue/write_cache"
done

# A command comes as a line `BYTES KIND` with so many bytes of script behind it. What goes back is a
# line `STATUS BYTES` and so many bytes: what the script said, or nothing of it where KIND is `log`
# and it went there as it came.
command_port=$(port memkv.command)
log_port=$(port memkv.log)
exec 3<>"$command_port" 4>"$log_port"
echo "ready 0" >&3
while read -r bytes kind <&3; do
    dd bs="$bytes" count=1 iflag=fullblock of=/lab/script <&3 2>/dev/null
    : >/lab/said
    case $kind in
    log) sh /lab/script </dev/null >&4 2>&1 3>&- 4>&- ;;
    *) sh /lab/script </dev/null >/lab/said 2>&1 3>&- 4>&- ;;
    esac
    status=$?
    size=$(stat -c %s /lab/said) # what it has left running may go on to write
    echo "$status $size" >&3
    head -c "$size" /lab/said >&3
done
die "nobody is there any more"
