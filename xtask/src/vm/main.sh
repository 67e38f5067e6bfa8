# First process of a test machine once the host's file system is its root; run by busybox.
#
# Runs the script, leaves its exit status on the host, and ends the machine.

busybox=/run/vnet-init/busybox
run=/run/vnet-vm

read -r uptime _ </proc/uptime
echo "$uptime" >"$run/booted"
/bin/bash "$run/script" >"$run/output" 2>&1 </dev/null
echo "$?" >"$run/status.new"
# Whole or not at all: the host takes this file as the end of the run.
$busybox mv "$run/status.new" "$run/status"
$busybox reboot -f
