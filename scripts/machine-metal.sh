# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, the script that sources this
# The machine kind "metal": an ISO for a PC of one's own, whose first serial port arrives here. Sourced; see run.sh for
# what it is given: $out $work $cpu $cpus $timeout $bare $serial. It leaves turtles.iso, and with --serial console.txt,
# in $out.

# shellcheck source=scripts/boot-image.sh
. "$root/scripts/boot-image.sh"

machine_options="cpus=$cpus log=com1"
# What the TSC counts, and so every figure.
machine_unit=cycles
# As lib/serial.c sets the port.
METAL_SPEED=115200

machine_usage() {
	[ -z "$accel" ] || wrong "--accel is for --machine qemu and libvirt"
	[ -z "$cpu" ] || wrong "--cpu is for emulated machines, and this one has its own"
	cpu=its-own
	case $l1 in
	bios | xen) wrong "--machine metal boots an image of its own; to run $l1 on it, boot that" ;;
	linux | linux-workload) [ -z "$bare" ] || wrong "--machine metal has Linux on L0 only: without --bare" ;;
	esac
	[ -z "$serial" ] || [ -c "$serial" ] || wrong "--serial $serial: not a device"
	case " $switches " in
	*" log=com2 "*) wrong "--set log=com2: of a PC only the first serial port is read" ;;
	esac
}

machine_check() {
	[ -z "$serial" ] || { [ -r "$serial" ] && [ -w "$serial" ]; } ||
		die "$STATUS_FAILURE" "$serial is not yours to use; join its group: sudo usermod -a -G dialout \$USER, and log in again"
}

machine_version() {
	echo "a PC at $serial"
}

machine_image() {
	boot=grub
	grub_image "$@"
	mv "$work/boot.iso" "$out/turtles.iso"
}

metal_last_line() {
	if [ -n "$bare" ]; then
		echo '^turtles-verdict: '
	else
		echo '^turtles-l0-verdict: '
	fi
}

# Until the verdict's line, which ends this reader. `sed -u` reads no byte too much.
metal_read() {
	sed -u "/$(metal_last_line)/q" < "$serial" | tee "$out/console.txt"
}

# Runs to the end of what the machine tells; without a line from it, the image is all. Sets $machine_status.
machine_run() {
	: > "$out/machine.log"
	if [ -z "$serial" ]; then
		rm -f "$out/console.txt" "$out/l0.txt" "$out/machine.log"
		say "the image is $out/turtles.iso; docs/metal.md tells how to boot it"
		exit 0
	fi
	stty -F "$serial" $METAL_SPEED raw -echo
	say "boot the machine from $out/turtles.iso now; waiting $timeout s for its verdict on $serial"
	metal_read &
	reader=$!
	timeout "$timeout" tail -s 0.1 --pid=$reader -f /dev/null &
	clock=$!
	machine_status=0
	wait $clock || machine_status=$?
	clock=''
	machine_stop
}

machine_stop() {
	for machine_child in ${clock-} ${reader-}; do
		pkill -P "$machine_child" || :
		kill "$machine_child" 2> "$work/killed" || :
		wait "$machine_child" 2> "$work/killed" || :
	done
	clock='' reader=''
}

machine_complaint() {
	:
}

# Nobody can ask a PC where it stands.
machine_stand() {
	:
}

# Real time has no count of instructions.
machine_instructions() {
	:
}
