# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, the script that sources this
# The machine kind "bochs": Debian's emulator with a VMX CPU. Sourced; see run.sh for what it is given:
# $out $work $cpu $cpus $memory $timeout $bare $trace. It leaves console.txt, l0.txt and machine.log in $out.

# shellcheck source=scripts/boot-image.sh
. "$root/scripts/boot-image.sh"

BOCHS=${BOCHS:-bochs}
BOCHS_SHARE=${BOCHS_SHARE:-/usr/share/bochs}
BOCHS_MEMORY_MAX=2048
# Wall time scales with the device clock alone: fast enough, and no output is lost.
BOCHS_IPS=${BOCHS_IPS:-4000000}
# The most windows of steps in a run; what is left of them at the end is not looked at.
BOCHS_WINDOWS=100
# From a break by the clock to a killing, in seconds: the debugger has to tell where the CPUs stand.
BOCHS_GRACE=5
# Bytes of a disk's cylinder: 16 heads, 63 sectors.
BOCHS_CYLINDER=$((16 * 63 * 512))
BOCHS_BOOT_WAYS="rom disk grub"
# Of mkrom and mkdisk: another way may do.
STATUS_TOO_MUCH=3

# shellcheck source=scripts/bochs-debugger.sh
. "$root/scripts/bochs-debugger.sh"

machine_options="tick=instruction cpus=$cpus"
# What the TSC counts, and so every figure.
machine_unit=instructions

machine_usage() {
	cpu=${cpu:-$(cpu_table | head -n 1 | cut -f 1)}
	cpu_table | cut -f 1 | grep -qx -e "$cpu" ||
		wrong "no CPU model is called \"$cpu\"; there are: $(names cpu_table)"
	[ "$memory" -le $BOCHS_MEMORY_MAX ] ||
		die "$STATUS_USAGE" "--memory $memory: $BOCHS_MEMORY_MAX MiB is the most that Bochs gives a guest"
	[ "$cpus" -le 8 ] || die "$STATUS_USAGE" "--cpus $cpus: 8 is the most that Bochs gives a guest here"
}

machine_check() {
	command -v "$BOCHS" > /dev/null ||
		die "$STATUS_FAILURE" "no $BOCHS on this machine; ./turtles doctor tells what to install"
}

machine_version() {
	printf 'Bochs %s\n' "$("$BOCHS" --help 2>&1 | sed -n 's/^ *Bochs x86 Emulator \([^ ]*\).*/\1/p')"
}

# boot_ways KERNEL: those that can load it, the fastest first. A ROM has no BIOS, whose tables Linux wants, and GRUB is told
# of multiboot images alone.
boot_ways() {
	if is_linux "$1"; then
		echo disk
	elif [ -n "${needs_bios-}" ]; then
		echo disk grub
	else
		echo "$BOCHS_BOOT_WAYS"
	fi
}

# machine_image KERNEL CMDLINE [MODULE STRING]...: loaded the way that was asked for, or the fastest that can.
machine_image() {
	image_ways=$(boot_ways "$1")
	if [ "$boot_way" != auto ]; then
		case " $image_ways " in
		*" $boot_way "*) image_ways=$boot_way ;;
		*) die "$STATUS_USAGE" "--boot $boot_way: this L1 is loaded by one of: $image_ways" ;;
		esac
	fi
	for boot in $image_ways; do
		image_status=0
		case $boot in
		rom) "$BUILD/mkrom" "$work/rom.img" "$BUILD/rom.bin" "$@" 2> "$work/image.txt" || image_status=$? ;;
		disk) "$BUILD/mkdisk" "$work/disk.img" "$BUILD/disk.bin" "$@" 2> "$work/image.txt" || image_status=$? ;;
		grub) grub_image "$@" ;;
		esac
		[ "$image_status" -eq $STATUS_TOO_MUCH ] || break
	done
	[ "$image_status" -eq 0 ] || die "$STATUS_FAILURE" "$(sed 's/^mk[a-z]*: //' "$work/image.txt")"
}

# bochs_whole_cylinders FILE: sets $l1_device_file, to a longer copy if the disk's last cylinder is not whole: the
# emulator's disk has whole ones only.
bochs_whole_cylinders() {
	cylinders=$((($(wc -c < "$1") + BOCHS_CYLINDER - 1) / BOCHS_CYLINDER))
	[ "$(wc -c < "$1")" -ne $((cylinders * BOCHS_CYLINDER)) ] || return 0
	l1_device_file=$work/l1.img
	cp --sparse=always "$1" "$l1_device_file"
	truncate -s $((cylinders * BOCHS_CYLINDER)) "$l1_device_file"
}

# machine_device disk|cdrom FILE [KERNEL CMDLINE]: the BIOS boots L1 from that device; if there is an L0, that is booted
# from the other kind of device, which comes behind L1's.
machine_device() {
	boot=bios
	l1_device=$1 l1_device_file=$2 l0_device=''
	[ "$1" != disk ] || bochs_whole_cylinders "$2"
	shift 2
	[ $# -gt 0 ] || return 0
	l0_device=disk
	[ "$l1_device" != disk ] || l0_device=cdrom
	grub_image "$@"
}

# bochs_drive CHANNEL disk|cdrom FILE: what is written to a disk is gone with the run.
bochs_drive() {
	case $1 in
	0) echo 'ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14' ;;
	1) echo 'ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15' ;;
	esac
	case $2 in
	disk) echo "ata$1-master: type=disk, path=\"$3\", mode=volatile, journal=\"$work/disk$1\"" ;;
	cdrom) echo "ata$1-master: type=cdrom, path=\"$3\", status=inserted" ;;
	esac
}

bochs_boot_lines() {
	if [ "$boot" = rom ]; then
		printf 'romimage: file="%s"\n' "$work/rom.img"
		return
	fi
	printf 'romimage: file="%s", options=fastboot\n' "$BOCHS_SHARE/BIOS-bochs-latest"
	case $boot in
	disk)
		echo 'boot: disk'
		bochs_drive 0 disk "$work/disk.img"
		;;
	grub)
		echo 'boot: cdrom'
		bochs_drive 0 cdrom "$work/boot.iso"
		;;
	bios)
		echo "boot: ${l0_device:-$l1_device}"
		bochs_drive 0 "$l1_device" "$l1_device_file"
		[ -z "$l0_device" ] || bochs_drive 1 "$l0_device" "$work/boot.iso"
		;;
	esac
}

bochs_configuration() {
	bochs_boot_lines
	cat <<END
config_interface: textconfig
display_library: rfb, options="timeout=0"
cpu: model=$cpu, count=$cpus, ips=$BOCHS_IPS, reset_on_triple_fault=0, ignore_bad_msrs=${BOCHS_IGNORE_BAD_MSRS:-0}
memory: guest=$memory, host=$memory
vgaromimage: file="$BOCHS_SHARE/VGABIOS-lgpl-latest"
clock: sync=none, time0=1000000000
com1: enabled=1, mode=file, dev="$work/console"
log: "$machine_log"
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore${TURTLES_WITNESS:+, CPU0=report}
sound: waveoutdrv=dummy
speaker: enabled=0
END
	[ -n "$bare" ] || printf 'com2: enabled=1, mode=file, dev="%s"\n' "$out/l0.txt"
	[ -z "${TURTLES_STEPS-}" ] || echo 'magic_break: enabled=1'
	[ -z "$trace" ] || echo 'port_e9_hack: enabled=1'
}

# bochs_step_commands: with $TURTLES_STEPS=N, N steps are traced behind each XCHG BX, BX that begins a window of them.
bochs_step_commands() {
	[ -n "${TURTLES_STEPS-}" ] || return 0
	awk -v windows=$BOCHS_WINDOWS -v steps="$TURTLES_STEPS" '
	BEGIN {
		while (windows--) {
			print "c\ntrace on"
			for (i = 0; i < steps; i++) print "c"
			print "trace off"
		}
	}'
}

# What the debugger is to do in a run that is traced: trace TURTLES_TRACE ("TICK INSTRUCTIONS") if it is given, and when the
# clock ends the run tell of each CPU whether it is in a VM.
bochs_commands() {
	bochs_step_commands
	[ -z "${TURTLES_TRACE-}" ] ||
		printf 'sba %s\nc\ntrace on\ns %s\ntrace off\n' "${TURTLES_TRACE% *}" "${TURTLES_TRACE#* }"
	echo c
	debugger_ask
	echo q
}

# The log goes to a file, or, by way of scripts/$TURTLES_WITNESS.awk, which makes a table of it, what is not of the debug
# level does.
open_log() {
	machine_log=$out/machine.log
	[ -n "${TURTLES_WITNESS-}" ] || return 0
	machine_log=$work/log
	mkfifo "$machine_log"
	awk -v names="$root/include/exit_reasons.def" -v rest="$out/machine.log" -f "$root/scripts/$TURTLES_WITNESS.awk" \
		< "$machine_log" > "$out/witness.tsv" &
	witness=$!
	exec 4> "$machine_log"
}

close_log() {
	[ -n "${witness-}" ] || return 0
	exec 4>&-
	wait "$witness" || die "$STATUS_FAILURE" "the witness failed"
	witness=
}

# Where the debugger traces: what it prints goes to a file, the trace to one of its own, as a trace or as counts of steps.
open_trace() {
	debugger_output=$work/debugger.txt
	[ -n "${TURTLES_TRACE-}${TURTLES_STEPS-}" ] || return 0
	debugger_output=$work/debugger
	mkfifo "$debugger_output"
	if [ -n "${TURTLES_STEPS-}" ]; then
		awk -v steps="$TURTLES_STEPS" -v rest="$work/debugger.txt" -v visits="$out/visits.tsv" \
			-f "$root/scripts/steps.awk" \
			< "$debugger_output" > "$out/steps.tsv" &
	else
		awk -v rest="$work/debugger.txt" -f "$root/scripts/trace.awk" < "$debugger_output" > "$out/trace.tsv" &
	fi
	tracer=$!
}

close_trace() {
	[ -n "${tracer-}" ] || return 0
	wait "$tracer" || die "$STATUS_FAILURE" "the trace could not be kept"
	tracer=
}

# In a run that is not traced, the debugger is talked to as it goes.
open_dialog() {
	line_by_line=''
	if [ -n "${TURTLES_TRACE-}${TURTLES_STEPS-}$trace" ]; then
		bochs_commands > "$work/commands"
		return
	fi
	line_by_line="stdbuf -oL" debugger_output=$work/debugger
	mkfifo "$work/commands" "$debugger_output"
	exec 5<> "$work/commands"
	debugger_dialog < "$debugger_output" > "$work/debugger.txt" 3>&- 4>&- &
	dialog=$!
}

close_dialog() {
	[ -n "${dialog-}" ] || return 0
	wait "$dialog" || die "$STATUS_FAILURE" "what the debugger said could not be kept"
	dialog=''
	exec 5>&-
}

# A trace of L0's comes out by standard output too, among what the emulator prints there.
keep_trace() {
	if [ -n "$trace" ]; then
		mv "$work/debugger.txt" "$work/output"
		"$BUILD/trace" cut "$work/output" "$out/trace.bin" > "$work/debugger.txt"
	fi
	cat "$work/errors.txt" >> "$work/debugger.txt"
}

# Runs the machine to its end; its console goes to standard output as it comes. Sets $machine_status.
machine_run() {
	open_log
	open_trace
	: > "$out/machine.log"
	bochs_configuration > "$work/bochsrc"
	mkfifo "$work/console"
	tee "$out/console.txt" < "$work/console" &
	reader=$!
	# Held open until the emulator has ended, so that tee ends even if the emulator never opens it.
	exec 3> "$work/console"
	open_dialog
	# shellcheck disable=SC2086 # words
	timeout -s INT -k $BOCHS_GRACE "$timeout" $line_by_line "$BOCHS" -q -f "$work/bochsrc" -rc "$work/commands" \
		< /dev/null > "$debugger_output" 2> "$work/errors.txt" 3>&- 4>&- 5>&- &
	emulator=$!
	machine_status=0
	wait $emulator || machine_status=$?
	emulator=
	exec 3>&-
	wait $reader || :
	reader=
	close_dialog
	close_trace
	keep_trace
	close_log
}

# Ends what machine_run left running if it was interrupted.
machine_stop() {
	for machine_child in ${emulator-} ${reader-} ${witness-} ${tracer-} ${dialog-}; do
		kill "$machine_child" 2> "$work/killed" || :
		wait "$machine_child" || :
	done
}

# The last tick of the log: every instruction counts one.
machine_instructions() {
	tail -n 1 "$out/machine.log" | sed -n 's/^0*\([0-9][0-9]*\)[a-z]\[.*/\1/p'
}

# Why the machine stopped, if it was not told to by the guest or by the clock; in one line.
machine_complaint() {
	sed -n '/>>PANIC<< Shutdown port/d
		s/^0*\([0-9][0-9]*\)p\[\([^] ]*\) *\] >>PANIC<< \(.*\)/the emulator stopped at tick \1: \3/p' \
		"$out/machine.log" "$work/debugger.txt" | head -n 1
}

