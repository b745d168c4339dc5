# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, the script that sources this
# What the machine kinds qemu and libvirt share: PCs of QEMU's. Sourced by them.

# shellcheck source=scripts/boot-image.sh
. "$root/scripts/boot-image.sh"
# shellcheck source=scripts/kvm-host.sh
. "$root/scripts/kvm-host.sh"
# shellcheck source=scripts/pin.sh
. "$root/scripts/pin.sh"

machine_options="cpus=$cpus"
# What the TSC counts, and so every figure.
machine_unit=cycles

machine_usage() {
	accel=${accel:-kvm}
	case $accel in
	kvm) cpu=${cpu:-host} ;;
	tcg) cpu=${cpu:-max} ;;
	*) wrong "--accel takes kvm or tcg, not \"$accel\"" ;;
	esac
	case $cpu in
	*[!A-Za-z0-9_.-]*) wrong "--cpu $cpu: not the name of a CPU model" ;;
	esac
	[ "$cpus" -le 8 ] || wrong "--cpus $cpus: 8 is the most that L0 takes over"
	pin_usage
}

# What L0's port has taken of a trace, from $work/port.
qemu_keep_trace() {
	[ ! -e "$work/port" ] || "$BUILD/trace" cut "$work/port" "$out/trace.bin" > "$work/port.rest"
}

# For each CPU: its number, rip, and that QEMU does not tell which level runs. After a timeout.
machine_stand() {
	tr -d '\r' < "$work/monitor.txt" | awk -v OFS='\t' '
	/^CPU#[0-9]+/ { cpu = substr($1, 5) }
	match($0, /[RE]IP=[0-9a-f]+/) { print cpu + 0, "0x" substr($0, RSTART + 4, RLENGTH - 4), "unknown", "" }'
}

# Real time has no count of instructions.
machine_instructions() {
	:
}
