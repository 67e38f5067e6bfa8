#!/bin/sh
# First process of a test machine, in its initramfs; /bin is busybox.
#
# Makes the host's file system the root: read-only by 9p, with a layer in memory over it, so that the tests find every
# program and file of the host and can change none.

fail() {
	echo "vnet-vm: cannot $*" >/dev/console
	reboot -f
}

mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys

while read -r module; do
	insmod "/modules/$module" || fail "load $module"
done </modules/order

# The host may not change under us in what matters, so everything may be cached.
options=trans=virtio,version=9p2000.L,msize=512000
mount -t 9p -o "$options,ro,cache=loose" host /lower || fail "mount the host's files"
mount -t tmpfs tmpfs /upper || fail "mount tmpfs"
mkdir /upper/upper /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/upper,workdir=/upper/work overlay /root ||
	fail "mount the overlay"

umount /proc /sys
mount -t proc proc /root/proc
mount -t sysfs sys /root/sys
mount -t bpf bpf /root/sys/fs/bpf
mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
mount -t devtmpfs dev /root/dev
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts devpts /root/dev/pts
mount -t tmpfs tmpfs /root/dev/shm
mount -t tmpfs tmpfs /root/run
ifconfig lo 127.0.0.1 up

# The run's own directory, both ways: the script to run, its output and its exit status. Uncached, so that what was
# printed before a crash is on the host.
mkdir -p /root/run/vnet-vm
mount -t 9p -o "$options,cache=none" run /root/run/vnet-vm || fail "mount the run's directory"

# Copied, since switch_root empties the initramfs.
mkdir /root/run/vnet-init
cp /bin/busybox /main.sh /root/run/vnet-init
exec switch_root /root /run/vnet-init/busybox sh /run/vnet-init/main.sh
