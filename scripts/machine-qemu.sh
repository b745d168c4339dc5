# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, the script that sources this
# The machine kind "qemu": a PC of QEMU's on the host's own VMX, by KVM. Sourced; see run.sh for what it is given:
# $out $work $cpu $cpus $memory $timeout $bare $accel. It leaves console.txt, l0.txt and machine.log in $out.

# shellcheck source=scripts/qemu-guest.sh
. "$root/scripts/qemu-guest.sh"
# shellcheck source=scripts/kvm-perf.sh
. "$root/scripts/kvm-perf.sh"

QEMU=${QEMU:-qemu-system-x86_64}
# From the end of the clock to a killing, in seconds: the monitor has to tell where the CPUs stand.
QEMU_GRACE=5
# Seconds for its first answer.
QEMU_PATIENCE=10

machine_check() {
	command -v "$QEMU" > /dev/null ||
		die "$STATUS_FAILURE" "no $QEMU on this machine; ./turtles doctor tells what to install"
	[ "$accel" != kvm ] || kvm_host_check
	[ -z "$perf" ] || kvm_perf_check
}

machine_version() {
	printf '%s, %s\n' "$("$QEMU" --version | sed -n 's/^\(QEMU\) emulator version \([^ ]*\).*/\1 \2/p')" \
		"$([ "$accel" = kvm ] && kvm_host_version || echo "no acceleration")"
}

# The device at L0's port for its trace, if there is to be one.
qemu_trace() {
	[ -z "$trace" ] ||
		printf '%s\n' "-chardev file,id=trace,path=$work/port -device isa-debugcon,iobase=0xe9,chardev=trace"
}

machine_image() {
	boot=disk
	disk_image "$@"
	qemu_drives="-drive file=$work/disk.img,format=raw,if=ide,snapshot=on"
}

# machine_device disk|cdrom FILE [KERNEL CMDLINE]: the BIOS boots L1 from that device; if there is an L0, that is booted
# from a CD behind L1's.
machine_device() {
	boot=bios
	qemu_drives="-drive file=$2,format=raw,if=ide,index=0,media=$1,readonly=$([ "$1" = cdrom ] && echo on || echo off)"
	[ "$1" = cdrom ] || qemu_drives="$qemu_drives,snapshot=on"
	shift 2
	[ $# -gt 0 ] || return 0
	grub_image "$@"
	qemu_drives="$qemu_drives -drive file=$work/boot.iso,format=raw,if=none,id=l0,media=cdrom,readonly=on
		-device ide-cd,bus=ide.1,drive=l0,bootindex=0"
}

# With KVM, VMX is to be there or QEMU is to say that it is not.
qemu_cpu() {
	case $accel,$cpu in
	kvm,host) echo host,+vmx,migratable=off ;;
	kvm,*) echo "$cpu,+vmx" ;;
	*) echo "$cpu" ;;
	esac
}

# Binds the thread of each CPU, which the monitor names; the machine does not run yet.
qemu_pin() {
	echo 'info cpus' >&5
	for qemu_try in $(seq $((QEMU_PATIENCE * 5))); do
		[ "$(grep -c 'thread_id=' "$work/monitor.txt")" -lt "$cpus" ] || break
		sleep 0.2
	done
	tr -d '\r' < "$work/monitor.txt" | sed -n 's/.*CPU #\([0-9]*\): thread_id=\([0-9]*\).*/\1 \2/p' |
		while read -r qemu_number qemu_thread; do
			taskset -p -c "$(pin_cpu_of "$qemu_number")" "$qemu_thread" > "$work/taskset.txt" 2>&1 ||
				die "$STATUS_FAILURE" "cannot pin CPU $qemu_number: $(tail -n 1 "$work/taskset.txt")"
		done
}

# The monitor has to tell where the CPUs stand before the machine ends.
qemu_time_is_over() {
	printf "info registers -a\nquit\n" >&5
	timeout $QEMU_GRACE tail -s 0.1 --pid="$emulator" -f /dev/null || kill -9 "$emulator"
}

# Runs the machine to its end; its console goes to standard output as it comes. Sets $machine_status.
machine_run() {
	mkfifo "$work/console" "$work/monitor"
	tee "$out/console.txt" < "$work/console" &
	reader=$!
	exec 3> "$work/console" 5<> "$work/monitor"
	# shellcheck disable=SC2046,SC2086 # each is several words
	"$QEMU" -nodefaults -no-user-config -no-reboot -S -display none -machine pc,accel="$accel" -cpu "$(qemu_cpu)" \
		-smp "$cpus" -m "$memory" -serial file:"$work/console" -serial file:"$out/l0.txt" -monitor stdio \
		-device isa-debug-exit,iobase=0xf4,iosize=1 $(qemu_trace) $qemu_drives \
		<&5 > "$work/monitor.txt" 2> "$out/machine.log" 3>&- &
	emulator=$!
	[ -z "$pin" ] || qemu_pin
	[ -z "$perf" ] || kvm_perf_start $emulator
	echo cont >&5
	timeout "$timeout" tail -s 0.1 --pid=$emulator -f /dev/null 3>&- &
	clock=$!
	clock_status=0
	wait $clock || clock_status=$?
	clock=
	[ $clock_status -eq 0 ] || qemu_time_is_over
	machine_status=0
	wait $emulator 2> "$work/wait.txt" || machine_status=$?
	emulator=
	[ -z "$perf" ] || kvm_perf_stop
	[ -z "$trace" ] || qemu_keep_trace
	exec 3>&- 5>&-
	wait $reader || :
	reader=
	[ $clock_status -eq 0 ] || machine_status=$STATUS_TIMEOUT
}

# Ends what machine_run left running if it was interrupted.
machine_stop() {
	for machine_child in ${clock-} ${recorder-} ${emulator-} ${reader-}; do
		kill "$machine_child" 2> "$work/killed" || :
		wait "$machine_child" || :
	done
}

# Why the machine stopped, if it was not told to by the guest or by the clock; in one line.
machine_complaint() {
	sed -n 's/^qemu[^:]*: //p' "$out/machine.log" | head -n 1
}
