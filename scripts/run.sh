#!/bin/sh
# turtles run: boots an L1, on L0 or on the bare CPU, and tells what every exit cost.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

MACHINES="bochs qemu libvirt metal"

usage() {
	cat <<'END'
usage: ./turtles run [OPTION]...
  --machine KIND      bochs: emulated, counts instructions; qemu, libvirt, metal (an ISO for a PC): measure cycles (bochs)
  --accel kvm|tcg     with qemu and libvirt: the host's VMX, or none at all, to see L0 refuse (kvm)
  --connect URI       with libvirt: whose domain it is to be (qemu:///session)
  --serial DEVICE     with metal: where the first serial port of the PC arrives; without it only the ISO is made
  --perf              with qemu and libvirt on this host: perf's table of what left to the host's KVM
  --pin LIST|auto     with qemu and libvirt: CPUs of this host on which those of the machine run; auto chooses
  --cpu MODEL         its CPU model (bochs: corei7_skylake_x; qemu and libvirt: host)
  --cpus N            how many CPUs (1)
  --memory MB         its memory (64; with Linux or Xen 1024)
  --l1 NAME|FILE      minivisor, bench (what operations and exits cost), linux (Debian's, with KVM), xen (Debian's), bios
                      (what that boots), or any multiboot 1 image or bzImage (minivisor)
  --boot WAY          with bochs: how L0 and L1 are loaded, rom, disk or grub (the first that can: the fastest)
  --disk FILE         with --l1 bios: the machine's BIOS boots this disk image as L1
  --cdrom FILE        the same with a CD image
  --l2 NAME[,NAME]... what L1 runs as L2, in turn: payloads (cpuid); on linux also linux, minivisor, turtles and bench; on
                      xen one of domain and linux (domain)
  --vmm VMM           with --l1 linux: what starts the L2s on KVM, kvmrun, qemu or libvirt (kvmrun)
  --l1-perf           with --l1 linux: Debian's perf, as it is here, records in L1 which exits its KVM saw
  --l2-cpus N         how many CPUs an L2 of linux has (1)
  --l3 NAME[,NAME]... what the minivisor as L2, or on turtles as L2, runs: payloads (cpuid)
  --count N           iterations of each payload (1000)
  --what WORD         what the payload is to do, where it has a choice (docs/experiments.md)
  --module FILE       a module for the L1; "FILE ARGUMENTS" gives it a command line
  --append STRING     words for the L1's command line
  --l2-append STRING  words for the command line of the bench or the minivisor below linux
  --set SWITCH=VALUE  a boot switch of L0
  --bare              the L1 on the CPU itself, without L0
  --trace             record every transition into trace.bin, for ./turtles trace
  --timeout SECONDS   of wall time (60; with Linux 600, with Xen 1800)
  --out DIR           the run's folder (a new one under build/runs)
`./turtles list` names the payloads, CPU models and switches. Exit status: 0 success, 1 failure, 2 wrong usage,
124 timeout.
END
}

wrong() {
	die "$STATUS_USAGE" "$1; ./turtles run --help tells more"
}

number_of_at_least() {
	is_number "$2" || wrong "$1 takes a number, not \"$2\""
	[ "$2" -ge "$3" ] || wrong "$1 $2: $3 is the least"
}

# SWITCH=VALUE against the table of L0's own source.
check_switch() {
	case $1 in
	*=*) ;;
	*) wrong "--set takes SWITCH=VALUE, not \"$1\"" ;;
	esac
	switch_name=${1%%=*}
	switch_value=${1#*=}
	switch_values=$(switch_table | awk -F '\t' -v name="$switch_name" '$1 == name { print $3 }')
	[ -n "$switch_values" ] || wrong "no switch is called \"$switch_name\"; there are: $(names switch_table)"
	case $switch_values in
	*..*)
		is_number "$switch_value" && [ "$switch_value" -ge "${switch_values%..*}" ] &&
			[ "$switch_value" -le "${switch_values#*..}" ] && return
		;;
	*)
		case "|$switch_values|" in
		*"|$switch_value|"*) [ -n "$switch_value" ] && return ;;
		esac
		;;
	esac
	wrong "the switch $switch_name takes $switch_values, not \"$switch_value\""
}

add_switch() {
	case $1 in
	l1=*) wrong "--set $1: where L1 comes from is what --l1 tells" ;;
	trace=*) wrong "--set $1: that is what --trace is for" ;;
	esac
	check_switch "$1"
	switches="$switches${switches:+ }$1"
}

# is_option WORD: one of those that usage tells of; the ones without a value are told apart by parse.
is_option() {
	usage | awk -v word="$1" '$1 == word { found = 1 } END { exit !found }'
}

parse() {
	machine=bochs cpu='' cpus=1 memory='' l1=minivisor l2='' l2_cpus=1 l3='' count=1000 what='' append=''
	bare='' timeout='' out='' switches='' modules='' disk='' cdrom='' device='' l2_append='' accel='' connect=''
	serial='' perf='' vmm='' pin='' l1_perf='' trace='' boot_way=auto
	while [ $# -gt 0 ]; do
		case $1 in
		--bare) bare=yes ;;
		--perf) perf=yes ;;
		--l1-perf) l1_perf=yes ;;
		--trace) trace=yes ;;
		-h | --help)
			usage
			exit 0
			;;
		*)
			is_option "$1" || wrong "unknown option \"$1\""
			[ $# -ge 2 ] || wrong "$1 needs a value"
			parse_value "$1" "$2"
			shift
			;;
		esac
		shift
	done
}

parse_value() {
	case $1 in
	--machine) machine=$2 ;;
	--accel) accel=$2 ;;
	--connect) connect=$2 ;;
	--serial) serial=$2 ;;
	--pin) pin=$2 ;;
	--cpu) cpu=$2 ;;
	--cpus) cpus=$2 ;;
	--memory) memory=$2 ;;
	--l1) l1=$2 ;;
	--boot) boot_way=$2 ;;
	--disk) disk=$2 ;;
	--cdrom) cdrom=$2 ;;
	--l2) l2=$2 ;;
	--l2-cpus) l2_cpus=$2 ;;
	--vmm) vmm=$2 ;;
	--l3) l3=$2 ;;
	--count) count=$2 ;;
	--what) what=$2 ;;
	--module) modules="$modules$2$newline" ;;
	--append) append="$append${append:+ }$2" ;;
	--l2-append) l2_append="$l2_append${l2_append:+ }$2" ;;
	--set) add_switch "$2" ;;
	--timeout) timeout=$2 ;;
	--out) out=$2 ;;
	esac
}

check_file() {
	if ! [ -f "$2" ] || ! [ -r "$2" ]; then
		die "$STATUS_USAGE" "$1 $2: no such file"
	fi
}

# known_l2 OPTION NAMES NAME...: each of the names (with commas between) is a payload's or one of those behind.
known_l2() {
	known_option=$1 known_names=$2
	shift 2
	for name in $(printf '%s' "$known_names" | tr , ' '); do
		{
			guest_table | cut -f 1
			printf '%s\n' "$@"
		} | grep -qx -e "$name" || wrong "$known_option: no payload is called \"$name\"; there are: $(names guest_table) $*"
	done
}

check_l2() {
	case $l1:,$l2, in
	linux:*,minivisor,* | linux:*,turtles,*) ;;
	*) [ -z "$l3" ] || wrong "--l3 names payloads of minivisor or turtles as L2 of linux" ;;
	esac
	case $l1 in
	minivisor)
		l2=${l2:-cpuid}
		known_l2 --l2 "$l2"
		;;
	linux)
		l2=${l2:-cpuid}
		known_l2 --l2 "$l2" linux minivisor turtles bench
		l3=${l3:-cpuid}
		known_l2 --l3 "$l3"
		;;
	xen) ;;
	*) [ -z "$l2" ] || wrong "--l2 names L2s of minivisor and linux; give $l1 its own with --module" ;;
	esac
}

# An L1 that the BIOS boots: sets $device, disk or cdrom, and $l1_file.
check_device() {
	case $l1 in
	bios | xen)
		# shellcheck source=scripts/l1-bios.sh
		. "$root/scripts/l1-bios.sh"
		;;
	esac
	[ "$l1" = bios ] || [ -z "$disk$cdrom" ] || wrong "--disk and --cdrom are for --l1 bios"
	case $l1 in
	bios) bios_check ;;
	xen) xen_check ;;
	esac
}

check_trace() {
	[ -n "$trace" ] || return 0
	[ -z "$bare" ] || wrong "--trace is of what L0 sees, and with --bare there is no L0"
	[ "$machine" != metal ] || wrong "--trace goes out by port 0xe9, which takes it on emulated machines only, not on metal"
	[ -z "${TURTLES_TRACE-}" ] || wrong "--trace does not go with a profile"
}

# What depends on the L1 and was not given; and whether to tell of progress, for what takes minutes.
l1_defaults() {
	progress=''
	case $l1 in
	linux | linux-workload)
		memory=${memory:-1024}
		timeout=${timeout:-600}
		progress=yes
		;;
	xen)
		memory=${memory:-1024}
		timeout=${timeout:-1800}
		progress=yes
		;;
	bios) progress=yes ;;
	esac
	memory=${memory:-64}
	timeout=${timeout:-60}
}

check_boot_way() {
	case $boot_way,$machine,$l1 in
	auto,*) ;;
	*,bios | *,xen) wrong "--boot is not for --l1 $l1, which the machine's BIOS boots" ;;
	rom,bochs,* | disk,bochs,* | grub,bochs,*) ;;
	rom,* | disk,* | grub,*) wrong "--boot is for --machine bochs" ;;
	*) wrong "--boot takes rom, disk or grub, not \"$boot_way\"" ;;
	esac
}

check() {
	l1_defaults
	[ -e "$root/scripts/machine-$machine.sh" ] ||
		wrong "the machine kind \"$machine\" is not supported; there are: $MACHINES"
	number_of_at_least --cpus "$cpus" 1
	number_of_at_least --memory "$memory" 4
	number_of_at_least --count "$count" 1
	number_of_at_least --timeout "$timeout" 1
	number_of_at_least --l2-cpus "$l2_cpus" 1
	check_trace
	check_boot_way
	check_device
	check_l2
	case $l1 in
	minivisor | bench | linux | linux-workload | bios | xen) ;;
	*) check_file --l1 "$l1" ;;
	esac
	printf '%s' "$modules" | while IFS= read -r module; do
		check_file --module "${module%% *}"
	done
	check_machine
}

# The kind of machine, after the L1, whose needs it is told.
check_machine() {
	[ -z "$vmm" ] || [ "$l1" = linux ] || wrong "--vmm is for --l1 linux"
	[ -z "$l1_perf" ] || [ "$l1" = linux ] || wrong "--l1-perf is for --l1 linux"
	[ "$machine" != bochs ] || [ -z "$accel" ] || wrong "--accel is for --machine qemu and libvirt"
	case $machine in
	qemu | libvirt) ;;
	*)
		[ -z "$perf" ] || wrong "--perf is for --machine qemu and libvirt"
		[ -z "$pin" ] || wrong "--pin is for --machine qemu and libvirt"
		;;
	esac
	[ "$machine" = libvirt ] || [ -z "$connect" ] || wrong "--connect is for --machine libvirt"
	[ "$machine" = metal ] || [ -z "$serial" ] || wrong "--serial is for --machine metal"
	[ -z "$perf" ] || [ -z "$connect" ] || wrong "--perf sees this host only, so it does not go with --connect"
	{ [ -z "$connect" ] || [ "$pin" != auto ]; } || wrong "--pin auto looks at this host, so it does not go with --connect"
	[ "$machine" = bochs ] || [ -z "${TURTLES_WITNESS-}${TURTLES_STEPS-}" ] ||
		wrong "what the emulator witnesses (TURTLES_WITNESS, TURTLES_STEPS) needs --machine bochs"
	case $l1 in
	linux | linux-workload)
		# shellcheck source=scripts/l1-linux.sh
		. "$root/scripts/l1-linux.sh"
		vmm=${vmm:-kvmrun}
		vmm_check
		;;
	esac
	# shellcheck source=scripts/machine-bochs.sh
	. "$root/scripts/machine-$machine.sh"
	machine_usage
}

# The packages first, for what is wrong with them is told in one line.
fetch_linux() {
	[ -e "$BUILD/linux/vmlinuz" ] || {
		mkdir -p "$BUILD"
		flock "$BUILD/.lock" "$root/scripts/linux.sh" kernel
	}
}

build() {
	set -- "$BUILD/mkrom" "$BUILD/rom.bin" "$BUILD/mkdisk" "$BUILD/disk.bin"
	[ -n "$bare" ] || set -- "$@" "$BUILD/turtles.elf"
	[ -z "$trace" ] || set -- "$@" "$BUILD/trace"
	case $l1 in
	minivisor)
		set -- "$@" "$BUILD/minivisor.elf"
		for name in $(printf '%s' "$l2" | tr , ' '); do
			set -- "$@" "$BUILD/guests/$name.bin"
		done
		;;
	bench) set -- "$@" "$BUILD/bench.elf" ;;
	xen) set -- "$@" "$l1_file" ;;
	linux | linux-workload)
		fetch_linux || exit "$STATUS_FAILURE"
		linux_targets > "$work/targets"
		while IFS= read -r target; do
			set -- "$@" "$target"
		done < "$work/targets"
		;;
	esac
	make_quietly "$@"
}

# make_folder: $out, and in it $work, which goes away at the end.
make_folder() {
	if [ -z "$out" ]; then
		mkdir -p "$BUILD/runs"
		out=$(mktemp -d "$BUILD/runs/$(date +%Y%m%d-%H%M%S)-XXXX")
		chmod 755 "$out"
	fi
	mkdir -p "$out" || die "$STATUS_USAGE" "--out $out: cannot make that folder"
	out=$(cd "$out" && pwd -P)
	for file in $RUN_FILES; do
		rm -f "$out/$file"
	done
	: > "$out/l0.txt"
	: > "$out/console.txt"
	work=$(mktemp -d "$out/.work-XXXXXX")
}

# shellcheck disable=SC2317 # called by trap
finish() {
	trap '' INT TERM HUP
	machine_stop
	[ -z "${work-}" ] || rm -rf "$work"
}

# Each l1_NAME sets L1's image and its command line, and adds its own modules' lines to $modules.
l1_minivisor() {
	l1_file=$BUILD/minivisor.elf
	l1_line=minivisor
	own_modules=''
	for name in $(printf '%s' "$l2" | tr , ' '); do
		own_modules="$own_modules$BUILD/guests/$name.bin${tab}$name count=$count${what:+ what=$what}$newline"
	done
}

l1_bench() {
	l1_file=$BUILD/bench.elf
	l1_line=bench
	own_modules=''
}

l1_file() {
	l1_file=$l1
	l1_line=${l1##*/}
	l1_line=${l1_line%.elf}
	own_modules=''
}

# module_lines: file and command line of each, a tab between.
module_lines() {
	printf '%s' "$own_modules"
	printf '%s' "$modules" | while IFS= read -r module; do
		module_file=${module%% *}
		printf '%s\t%s%s\n' "$module_file" "${module_file##*/}" "${module#"$module_file"}"
	done
}

# boot: hands kernel, command line and modules to the machine, or the device that its BIOS is to boot. On L0, the L1 is
# L0's first module, or comes from the device.
boot() {
	l0_file=${TURTLES_L0:-$BUILD/turtles.elf}
	l0_line="turtles $machine_options${trace:+ trace=on}${switches:+ $switches}"
	if [ -n "$device" ]; then
		boot_device
	else
		boot_images
	fi
	began=$(date +%s)
	machine_run
}

boot_device() {
	[ "$l1" != xen ] || xen_forecast
	l1_line="$device ${l1_file##*/}"
	set --
	[ -n "$bare" ] || set -- "$l0_file" "$l0_line l1=$device"
	machine_device "$device" "$l1_file" "$@"
}

boot_images() {
	case $l1 in
	minivisor) l1_minivisor ;;
	bench) l1_bench ;;
	linux | linux-workload) l1_linux ;;
	*) l1_file ;;
	esac
	l1_line="$l1_line${append:+ $append}"
	set -- "$l1_file" "$l1_line"
	[ -n "$bare" ] || set -- "$l0_file" "$l0_line" "$@"
	module_lines > "$work/modules"
	while IFS=$tab read -r module_file module_line; do
		set -- "$@" "$module_file" "$module_line"
	done < "$work/modules"
	machine_image "$@"
}

# An L0 that was built for coverage leaves its counters in its log: they go to $TURTLES_COVERAGE.
keep_coverage() {
	[ -n "${TURTLES_COVERAGE-}" ] || return 0
	grep '^gcd' "$out/l0.txt" > "$TURTLES_COVERAGE/$$.txt" || rm "$TURTLES_COVERAGE/$$.txt"
}

# An L0 whose log shares L1's console: its lines are told by what they begin with.
log_is_shared() {
	# shellcheck disable=SC2086 # words
	[ "$(printf '%s\n' $machine_options $switches | grep '^log=' | tail -n 1)" = log=com1 ]
}

# has_line FILE LINE: as a whole line, whatever ends it.
has_line() {
	tr -d '\r' < "$1" | grep -qxF -e "$2"
}

# verdict: sets $verdict (success, failure, timeout, stopped) and $status.
judge() {
	status=$STATUS_FAILURE
	verdict=stopped
	if [ "$machine_status" -eq "$STATUS_TIMEOUT" ] || [ "$machine_status" -eq 137 ]; then
		verdict=timeout
		status=$STATUS_TIMEOUT
	elif has_line "$out/console.txt" "turtles-verdict: failure"; then
		verdict=failure
	elif ! has_line "$out/console.txt" "turtles-verdict: success"; then
		verdict=stopped
	elif [ -n "$bare" ] || has_line "$out/l0.txt" "turtles-l0-verdict: success"; then
		verdict=success
		status=0
	fi
}

main() {
	parse "$@"
	check
	# shellcheck source=scripts/run-report.sh
	. "$root/scripts/run-report.sh"
	machine_check
	trap finish EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	make_folder
	build
	boot
	! log_is_shared || cp "$out/console.txt" "$out/l0.txt"
	keep_coverage
	judge
	report
	exit "$status"
}

main "$@"
