# Starts systemd as the first process of a PID namespace, in a root of its own: the machine's files and systemd's, below a layer
# in memory. Arguments: systemd's directory, and one to work in. It must be the only systemd of the machine.
set -e
systemd=$1 directory=$2
mount --make-rprivate /
mount -t tmpfs root "$directory"
cd "$directory"
mkdir upper work root
cp -a "$systemd/." upper
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work root root
cd root
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs run run
mount -t tmpfs tmp tmp
# As `man systemd` has it for containers.
export container=vnet
exec chroot . /usr/lib/systemd/systemd --unit=basic.target
