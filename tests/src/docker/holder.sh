# Holds a Docker engine: makes the mounts that it sees, starts what it is told to on standard input, and when that ends,
# for whatever reason, ends every process below and removes what is left. It must be a subreaper in a new mount namespace.
# Arguments: the engine's directory, the directory of its files, the name of its control groups, and a directory for its data
# where that shall outlive the engine.
set -e
engine=$1 directory=$2 group=$3 kept=$4
# Caught, not ignored, or they would be ignored in containers too.
trap : HUP INT TERM PIPE
mount --make-rslave /

# Sockets and files of their own below /run, but for the names of network namespaces.
mkdir "$directory/netns"
mount --rbind /run/netns "$directory/netns"
mount -t tmpfs run /run
mkdir -p /run/netns /run/docker/plugins
mount --rbind "$directory/netns" /run/netns
umount -l "$directory/netns"

# In memory: engines wait for the disk after every small thing that they write.
for place in data exec; do
    mkdir "$directory/$place"
    mount -t tmpfs "$place" "$directory/$place"
done
if [ -n "$kept" ]; then
    mkdir -p "$kept"
    mount --bind "$kept" "$directory/data"
fi

# What dockerd and containerd write there goes with the namespace.
for place in etc opt; do
    mkdir -p "/run/layers/$place" "/run/work/$place"
    mount -t overlay -o "lowerdir=/$place,upperdir=/run/layers/$place,workdir=/run/work/$place" "$place" "/$place"
done

# Libraries that this machine has not, or not as new.
libraries=
for place in lib usr/lib; do
    if [ -d "$engine/$place/x86_64-linux-gnu" ]; then
        libraries=$libraries$engine/$place/x86_64-linux-gnu:
    fi
done
if [ -n "$libraries" ]; then
    mount -t overlay -o "lowerdir=$libraries/usr/lib/x86_64-linux-gnu" libraries /usr/lib/x86_64-linux-gnu
fi

PATH=$engine/usr/sbin:$engine/usr/bin:$PATH
set +e
exec 2>>"$directory/holder.log"
echo done 0
while read -r line; do
    eval "$line"
    echo "done $?"
done

# Who lost its parent is a child now, so that there is always one to end until all are gone. `sleep` also reaps.
while read -r children <"/proc/$$/task/$$/children"; [ -n "$children" ]; do
    kill -KILL $children 2>/dev/null
    sleep 0.01
done
find /sys/fs/cgroup -depth -type d -path "*/$group*" -exec rmdir {} ';' 2>/dev/null

# Not through a mount, which may be of files that stay.
while read -r _ place _; do
    case $place in "$directory"/*) umount -l "$place" 2>/dev/null ;; esac
done </proc/self/mounts
grep -qF " $directory/" /proc/self/mounts || rm -rf "$directory"
