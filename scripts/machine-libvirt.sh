# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, the script that sources this
# The machine kind "libvirt": a transient domain of QEMU's, on this host or another, from scripts/libvirt-domain.xml.
# Sourced; see run.sh for what it is given: $out $work $cpu $cpus $memory $timeout $bare $accel $connect. It leaves
# console.txt, l0.txt and machine.log in $out.

# shellcheck source=scripts/qemu-guest.sh
. "$root/scripts/qemu-guest.sh"
# shellcheck source=scripts/kvm-perf.sh
. "$root/scripts/kvm-perf.sh"

# Where the images of a domain go whose host cannot read them here.
LIBVIRT_POOL=${LIBVIRT_POOL:-default}
# Seconds for an answer of the daemon's.
LIBVIRT_PATIENCE=30

# libvirt COMMAND...: one call of the daemon's.
libvirt() {
	timeout $LIBVIRT_PATIENCE virsh -q -c "$connect" "$@"
}

# A domain of another host, or of another user than this one, cannot read this run's folder.
libvirt_is_elsewhere() {
	[ "$connect" != qemu:///session ]
}

libvirt_check_kvm() {
	printf '%s\n' "$libvirt_capabilities" | grep -q "<domain type='kvm'" ||
		die "$STATUS_FAILURE" "the host of $connect has no KVM: $(kvm_host_complaint)"
	libvirt_is_elsewhere || kvm_host_check
}

machine_check() {
	connect=${connect:-qemu:///session}
	for libvirt_tool in virsh script; do
		command -v $libvirt_tool > /dev/null ||
			die "$STATUS_FAILURE" "no $libvirt_tool on this machine; ./turtles doctor tells what to install"
	done
	libvirt_capabilities=$(libvirt capabilities 2>&1) ||
		die "$STATUS_FAILURE" "libvirt does not answer at $connect: $(printf '%s\n' "$libvirt_capabilities" | tail -n 1)"
	[ -z "$trace" ] || ! libvirt_is_elsewhere ||
		die "$STATUS_FAILURE" "--trace needs a domain that can write into this run's folder: --connect qemu:///session"
	[ "$accel" != kvm ] || libvirt_check_kvm
	[ -z "$perf" ] || kvm_perf_check
}

machine_version() {
	printf 'libvirt %s, %s\n' "$(libvirt version | sed -n 's/^Running hypervisor: //p')" \
		"$([ "$accel" = kvm ] && echo "KVM of $connect" || echo "no acceleration")"
}

# libvirt_disk disk|cdrom FILE TARGET ORDER: the XML of a disk.
libvirt_disk() {
	libvirt_file=$2
	! libvirt_is_elsewhere || libvirt_upload "$2" "$3"
	printf "    <disk type='file' device='%s'>\n      <driver name='qemu' type='raw'/>\n" "$1"
	printf "      <source file='%s'/>\n      <target dev='%s' bus='ide'/>\n      <boot order='%s'/>\n" "$libvirt_file" "$3" "$4"
	[ "$1" != cdrom ] || printf '      <readonly/>\n'
	printf '    </disk>\n'
}

# libvirt_upload FILE TARGET: sets $libvirt_file, its path on the domain's host.
libvirt_upload() {
	libvirt_volume=$domain-$2.img
	printf '%s\n' "$libvirt_volume" >> "$work/volumes"
	{
		libvirt vol-create-as "$LIBVIRT_POOL" "$libvirt_volume" "$(wc -c < "$1")" --format raw &&
			virsh -q -c "$connect" vol-upload --pool "$LIBVIRT_POOL" "$libvirt_volume" "$1"
	} > "$work/upload.txt" 2>&1 ||
		die "$STATUS_FAILURE" "cannot bring the image into libvirt's pool \"$LIBVIRT_POOL\" at $connect: $(tail -n 1 "$work/upload.txt")"
	libvirt_file=$(libvirt vol-path --pool "$LIBVIRT_POOL" "$libvirt_volume")
}

machine_image() {
	boot=disk
	domain=turtles-$$
	disk_image "$@"
	libvirt_disk disk "$work/disk.img" hda 1 > "$work/disks.xml"
}

# machine_device disk|cdrom FILE [KERNEL CMDLINE]: the BIOS boots L1 from that device; if there is an L0, that is booted
# from a CD behind L1's. What is written to a disk is gone with the run.
machine_device() {
	boot=bios
	domain=turtles-$$
	libvirt_l1=$2
	if [ "$1" = disk ]; then
		libvirt_l1=$work/l1.img
		cp --sparse=always "$2" "$libvirt_l1"
	fi
	libvirt_disk "$1" "$libvirt_l1" hda 2 > "$work/disks.xml"
	shift 2
	[ $# -gt 0 ] || return 0
	grub_image "$@"
	libvirt_disk cdrom "$work/boot.iso" hdc 1 >> "$work/disks.xml"
}

# With KVM, VMX is to be there or libvirt is to say that it is not.
libvirt_cpu() {
	case $accel,$cpu in
	kvm,host) echo "<cpu mode='host-passthrough' migratable='off'><feature policy='require' name='vmx'/></cpu>" ;;
	kvm,*) echo "<cpu match='exact'><model>$cpu</model><feature policy='require' name='vmx'/></cpu>" ;;
	tcg,max) echo "<cpu mode='maximum'/>" ;;
	tcg,*) echo "<cpu match='exact'><model>$cpu</model></cpu>" ;;
	esac
}

# libvirt_pins: the XML that binds each CPU to one of the host.
libvirt_pins() {
	[ -n "${pin-}" ] || return 0
	echo '  <cputune>'
	for libvirt_number in $(seq 0 $((cpus - 1))); do
		echo "    <vcpupin vcpu='$libvirt_number' cpuset='$(pin_cpu_of "$libvirt_number")'/>"
	done
	echo '  </cputune>'
}

# libvirt_trace: the XML of the device at L0's port for its trace, which writes where this run can read.
libvirt_trace() {
	[ -n "${trace-}" ] || return 0
	printf "    <serial type='file'>\n      <source path='%s'/>\n" "$work/port"
	echo "      <target type='isa-debug' port='0'><model name='isa-debugcon'/></target>"
	printf "      <address type='isa' iobase='0xe9'/>\n    </serial>\n"
}

libvirt_xml() {
	libvirt_pins > "$work/pins.xml"
	libvirt_trace > "$work/trace.xml"
	sed -e "s|@TYPE@|$([ "$accel" = kvm ] && echo kvm || echo qemu)|" -e "s|@NAME@|$domain|" -e "s|@MEMORY@|$memory|" \
		-e "s|@CPUS@|$cpus|" -e "s|@CPU@|$(libvirt_cpu)|" -e "/@DISKS@/r $work/disks.xml" -e '/@DISKS@/d' \
		-e "/@PINS@/r $work/pins.xml" -e '/@PINS@/d' -e "/@TRACE@/r $work/trace.xml" -e '/@TRACE@/d' \
		"$root/scripts/libvirt-domain.xml"
}

# The domain lives as long as this virsh, which ends with us, however we end.
libvirt_create() {
	mkfifo "$work/virsh"
	: > "$work/virsh.txt"
	exec 5<> "$work/virsh"
	virsh -c "$connect" <&5 > "$work/virsh.txt" 2> "$out/machine.log" &
	emulator=$!
	printf 'create %s --paused --autodestroy\n' "$out/domain.xml" >&5
	for libvirt_try in $(seq $((LIBVIRT_PATIENCE * 5))); do
		[ ! -s "$out/machine.log" ] || return
		! grep -q "created from" "$work/virsh.txt" || return 0
		sleep 0.2
	done
	echo "error: no domain after $LIBVIRT_PATIENCE s" > "$out/machine.log"
	return 1
}

# libvirt_console SERIAL: that serial port of the domain as it comes, in $work/SERIAL; virsh wants a terminal, whose input
# stays open and empty.
libvirt_console() {
	: > "$work/$1"
	script -q -e -f -c "virsh -c '$connect' console $domain --devname $1" "$work/$1" <&6 > "$work/script.txt" 2>&1 &
}

# libvirt_text SERIAL: without what script and virsh say, and the terminal's ends of lines.
libvirt_text() {
	tr -d '\r' < "$work/$1" | sed -e '1,/^Escape character is /d' -e '/^Script done on /d'
}

libvirt_is_attached() {
	grep -q 'Escape character is' "$work/$1" || ! kill -0 "$2" 2> "$work/kill.txt"
}

# The guest begins only when both ports are read, so that no byte is lost.
libvirt_start() {
	mkfifo "$work/silence"
	exec 6<> "$work/silence"
	libvirt_console serial0
	reader=$!
	libvirt_console serial1
	log_reader=$!
	for libvirt_try in $(seq $((LIBVIRT_PATIENCE * 5))); do
		! libvirt_is_attached serial0 $reader || ! libvirt_is_attached serial1 $log_reader || break
		sleep 0.2
	done
	[ -z "$perf" ] || kvm_perf_start "$(pgrep -o -f "guest=$domain,")"
	libvirt resume "$domain" > "$work/resume.txt" 2>> "$out/machine.log"
}

# The last line of a run, by who speaks last. A machine that ended by itself loses what it said last; ours halt.
libvirt_has_ended() {
	if [ -n "$bare" ]; then
		libvirt_text serial0 | grep -q '^turtles-verdict: '
	else
		libvirt_text serial1 | grep -q '^turtles-l0-verdict: '
	fi || ! kill -0 "$reader" 2> "$work/kill.txt"
}

# What is new of the console to standard output.
libvirt_show() {
	libvirt_text serial0 > "$out/console.txt"
	tail -c "+$((libvirt_shown + 1))" "$out/console.txt"
	libvirt_shown=$(wc -c < "$out/console.txt")
}

# Until the verdict, or the end of the clock.
libvirt_follow() {
	libvirt_shown=0
	libvirt_end=$(($(date +%s) + timeout))
	until libvirt_has_ended; do
		[ "$(date +%s)" -lt "$libvirt_end" ] || return "$STATUS_TIMEOUT"
		libvirt_show
		sleep 0.2
	done
}

# Runs the machine to its end; its console goes to standard output as it comes. Sets $machine_status.
machine_run() {
	: > "$out/machine.log"
	libvirt_xml > "$out/domain.xml"
	if ! libvirt_create; then
		machine_status=1
		return
	fi
	libvirt_start
	machine_status=0
	libvirt_follow || machine_status=$?
	[ $machine_status -ne "$STATUS_TIMEOUT" ] ||
		libvirt qemu-monitor-command "$domain" --hmp 'info registers -a' > "$work/monitor.txt" 2>> "$out/machine.log" || :
	libvirt_show
	libvirt_text serial1 > "$out/l0.txt"
	[ -z "$perf" ] || kvm_perf_stop
	[ -z "$trace" ] || qemu_keep_trace
	machine_stop
}

# Ends what machine_run left running if it was interrupted; the volumes of the run are gone then too.
machine_stop() {
	[ -z "${emulator-}" ] || libvirt destroy "$domain" > "$work/destroy.txt" 2>&1 || :
	for machine_child in ${recorder-} ${emulator-} ${reader-} ${log_reader-}; do
		kill "$machine_child" 2> "$work/kill.txt" || :
		wait "$machine_child" 2> "$work/kill.txt" || :
	done
	emulator='' reader='' log_reader=''
	[ ! -e "${work-}/volumes" ] || while IFS= read -r libvirt_volume; do
		libvirt vol-delete --pool "$LIBVIRT_POOL" "$libvirt_volume" > "$work/delete.txt" 2>&1 || :
	done < "$work/volumes"
}

# Why the machine stopped, if it was not told to by the guest or by the clock; in one line.
machine_complaint() {
	sed -n 's/^error: /libvirt: /p' "$out/machine.log" | tail -n 1
}
