#!/bin/sh
# The other kinds of machine: QEMU, libvirt and an image for metal, as far as a host without VMX lets them: L0 refuses its
# CPU in one line, an L1 that needs no VMX runs, a run that hangs is ended, and nothing is left.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

REFUSAL='L0: this CPU has no VMX'
NOBODY=65534

# wait_for COMMAND...: until it is so, for ten seconds at most.
wait_for() {
	waits=100
	until "$@" > "$folder/waiting" 2>&1; do
		waits=$((waits - 1))
		[ $waits -gt 0 ] || return
		sleep 0.1
	done
}

# The daemon of this test: a user's own, not root's, whose domains then cannot read this run's folder.
start_libvirt() {
	mkdir "$folder/home" "$folder/run" "$folder/pool"
	chmod 755 "$folder"
	set -- env -i HOME="$folder/home" XDG_RUNTIME_DIR="$folder/run" PATH=/usr/sbin:/usr/bin:/bin \
		libvirtd --timeout 60 --daemon
	if [ "$(id -u)" -eq 0 ]; then
		chown $NOBODY:$NOBODY "$folder/home" "$folder/run" "$folder/pool"
		set -- setpriv --reuid $NOBODY --regid $NOBODY --clear-groups "$@"
	fi
	"$@"
	socket=$folder/run/libvirt/libvirt-sock
	wait_for [ -S "$socket" ]
	uri="qemu+unix:///session?socket=$socket"
	virsh -q -c "$uri" pool-create-as default dir --target "$folder/pool"
}

# Daemons end by themselves, in a minute or two; this test does not wait for that.
stop_libvirt() {
	for pid in "$folder"/run/libvirt/*.pid; do
		[ ! -s "$pid" ] || kill "$(cat "$pid")"
	done
	rm -rf "$folder"
}

refused_by_l0() {
	status_is 1 && grep -q "$REFUSAL" "$folder/stderr" && grep -q "$REFUSAL" "$out/console.txt" &&
		fact_is verdict stopped && fact_is unit cycles
}

no_instructions() {
	! grep -i instr "$out/summary.txt" "$out/run.tsv"
}

says_where() {
	status_is 124 && grep -q 'timeout after 3 s: cpu 0 at rip 0x0*100[0-9a-f]* in one of the levels' "$folder/stderr"
}

# interrupted KIND...: a run that hangs, ended from outside.
interrupted() {
	rm -rf "$out"
	"$root/turtles" run --out "$out" --bare --l1 "$images/hang.elf" "$@" > "$folder/stdout" 2> "$folder/stderr" &
	runner=$!
	wait_for grep -q 'now hanging' "$out/console.txt"
	kill -TERM $runner
	status=0
	wait $runner || status=$?
	status_is 143
}

domains_gone() {
	[ -z "$(virsh -q -c "$uri" list --all --name)" ] && [ -z "$(ls "$folder/pool")" ]
}

# kind NAME OPTION...: the same of each kind that a host without VMX can run.
kind() {
	kind_name=$1
	shift
	run --accel tcg "$@"
	ok "$kind_name: L0 refuses a CPU without VMX" refused_by_l0
	ok "$kind_name: no instructions where cycles are counted" no_instructions
	run --accel tcg "$@" --bare --l1 "$images/hello.elf"
	ok "$kind_name: an L1 that needs no VMX" status_is 0
	run --accel tcg "$@" --bare --l1 "$images/hang.elf" --timeout 3
	ok "$kind_name: a run that hangs" says_where
	ok "$kind_name: and nothing of it is left" nothing_left
	ok "$kind_name: a run ended from outside" interrupted --accel tcg "$@"
	ok "$kind_name: and nothing of it is left" nothing_left
}

# What an L0 writes to its port for the trace arrives: a trace that was recorded on the emulator, by an image that plays L0.
trace_arrives() {
	run --l2 cpuid --count 20 --trace
	cp "$out/trace.bin" "$folder/trace.bin"
	TURTLES_L0=$images/debug_port.elf run --machine qemu --accel tcg --trace --l1 "$folder/trace.bin"
	cmp "$folder/trace.bin" "$out/trace.bin"
}

# The domain that was made last has the port, for libvirt's QEMU driver as well.
has_trace_port() {
	virsh -q -c "$uri" domxml-to-native qemu-argv "$folder/domain.xml" > "$folder/argv"
	cat "$folder/argv"
	grep -q -e 'isa-debugcon.*iobase.*\(0xe9\|233\)' "$folder/argv"
}

valid_domain() {
	(
		# shellcheck disable=SC2034 # for what is sourced
		cpus=2 memory=64 domain=turtles-1 work=$folder connect=qemu:///session accel=$1 cpu=$2 pin="${3-}" trace="${4-}"
		# shellcheck source=scripts/machine-libvirt.sh
		. "$root/scripts/machine-libvirt.sh"
		libvirt_disk disk /nonesuch.img hda 1 > "$folder/disks.xml"
		libvirt_disk cdrom /nonesuch.iso hdc 2 >> "$folder/disks.xml"
		libvirt_xml > "$folder/domain.xml"
	)
	virt-xml-validate "$folder/domain.xml" domain
}

image_boots() {
	cp "$out/turtles.iso" "$folder"
	run --bare --l1 bios --cdrom "$folder/turtles.iso"
	status_is 0 && has_lines 'cpuid: 10 answers, 0 wrong' 'turtles-l0-verdict: success'
}

has_lines() {
	for pattern in "$@"; do
		grep -q -e "$pattern" "$out/console.txt" || return
	done
}

refused_on_uefi() {
	timeout 100 qemu-system-x86_64 -accel tcg -cpu max -m 256 -display none -nodefaults -no-reboot \
		-bios /usr/share/ovmf/OVMF.fd -cdrom "$folder/turtles.iso" -serial file:"$folder/uefi.txt" \
		-device isa-debug-exit,iobase=0xf4,iosize=1 || :
	cat "$folder/uefi.txt"
	grep -q "$REFUSAL" "$folder/uefi.txt"
}

# A PC whose serial port arrives here: QEMU's, by a terminal of its own. Ours halt at the end, and it stays.
serial_is_read() {
	mkfifo "$folder/monitor"
	timeout 60 qemu-system-x86_64 -S -accel tcg -cpu max -m 64 -display none -nodefaults -no-reboot -serial pty \
		-cdrom "$1" -monitor stdio \
		< "$folder/monitor" > "$folder/monitor.txt" 2>&1 &
	exec 7> "$folder/monitor"
	wait_for grep -q redirected "$folder/monitor.txt"
	terminal=$(sed -n 's/.*redirected to \([^ ]*\).*/\1/p' "$folder/monitor.txt")
	{
		wait_for [ -s "$folder/stderr" ]
		sleep 0.5
		echo cont >&7
	} &
	: > "$folder/stderr"
	run --machine metal --bare --l1 "$images/hello.elf" --serial "$terminal" --timeout 30
	echo quit >&7
	exec 7>&-
	wait
	status_is 0 && has_lines 'hello from a multiboot image'
}

# doctored FILE...: what doctor says of a host that looks so.
doctored() {
	CPUINFO=$folder/cpuinfo KVM_DEVICE=$folder/kvm KVM_PARAMETERS=$folder/parameters \
		"$root/turtles" doctor > "$folder/stdout" 2>&1
	grep -e "$1" "$folder/stdout" || {
		cat "$folder/stdout"
		return 1
	}
}

# lacking PATTERN OPTION...: a machine on KVM is refused in one line, and nothing is left.
lacking() {
	lacking_pattern=$1
	shift
	rm -rf "$out"
	status=0
	CPUINFO=$folder/cpuinfo KVM_DEVICE=$folder/kvm KVM_PARAMETERS=$folder/parameters $as_somebody \
		"$root/turtles" run --out "$out" "$@" > "$folder/stdout" 2> "$folder/stderr" || status=$?
	status_is 1 && one_error "$lacking_pattern" && [ ! -e "$out" ]
}

# Without a command: all others are where they were.
without_command() {
	mkdir "$folder/bin"
	ln -s /usr/sbin/* /usr/bin/* "$folder/bin" 2> "$folder/twice" || :
	rm "$folder/bin/$1"
	PATH=$folder/bin run --machine libvirt
	rm -r "${folder:?}/bin"
	status_is 1 && one_error "no $1 on this machine; ./turtles doctor tells" && [ ! -e "$out" ]
}

refuse() {
	refuse_pattern=$1
	shift
	run "$@"
	ok "refused: run $*" refused "$refuse_pattern"
}

refused() {
	status_is 2 && one_error "$1" && [ ! -e "$out" ]
}

as_somebody=''
plan 55
kind qemu --machine qemu
run --machine qemu --accel tcg --bare --cpus 2 --l1 "$images/hello.elf"
ok "qemu: two CPUs" status_is 0
ok "qemu: a trace" trace_arrives
QEMU=nonesuch
export QEMU
run --machine qemu --accel tcg
ok "qemu: not there" one_error 'no nonesuch on this machine; ./turtles doctor tells'
unset QEMU

start_libvirt
trap stop_libvirt EXIT
kind libvirt --machine libvirt --connect "$uri"
ok "libvirt: no domain and no image is left" domains_gone
ok "libvirt: the domain is valid, KVM" valid_domain kvm host
ok "libvirt: the domain is valid, KVM and a model of CPU" valid_domain kvm Haswell
ok "libvirt: the domain is valid, no KVM" valid_domain tcg max
ok "libvirt: the domain is valid, pinned" valid_domain kvm host "1 0"
ok "libvirt: each CPU has its own" grep -q "vcpu=.1. cpuset=.0." "$folder/domain.xml"
ok "libvirt: the domain is valid, with a trace" valid_domain tcg max '' yes
ok "libvirt: the trace's port is QEMU's" has_trace_port
run --machine libvirt --connect "$uri" --accel tcg --trace
ok "libvirt: no trace from a domain that cannot write here" one_error 'trace needs a domain that can write'
run --machine libvirt --connect qemu+unix:///session?socket=/nonesuch
ok "libvirt: no daemon" one_error "libvirt does not answer at .*/nonesuch"

printf 'flags : fpu sse\n' > "$folder/cpuinfo"
ok "doctor: no VMX" doctored 'VMX  *this CPU shows no VMX'
ok "qemu: no VMX" lacking 'this CPU shows no VMX.*--accel tcg works anywhere' --machine qemu
ok "doctor: no device" doctored 'device  *no .*; load KVM: sudo modprobe kvm_intel'
ok "doctor: no module" doctored 'kvm_intel  *kvm_intel is not loaded'
printf 'flags : fpu vmx sse\nmodel name : a CPU\n' > "$folder/cpuinfo"
ok "qemu: no device" lacking 'no .*/kvm; load KVM: sudo modprobe kvm_intel' --machine qemu
: > "$folder/kvm"
ok "qemu: no module" lacking 'kvm_intel is not loaded' --machine qemu
mkdir "$folder/parameters"
for parameter in nested ept enable_shadow_vmcs; do
	echo N > "$folder/parameters/$parameter"
done
ok "doctor: VMX" doctored 'VMX  *ready'
ok "doctor: no nesting" doctored 'nested  *kvm_intel has nested off.*sudo modprobe kvm_intel nested=1'
ok "qemu: no nesting" lacking 'kvm_intel has nested off' --machine qemu
ok "doctor: no EPT" doctored 'ept  *kvm_intel has ept off'
echo Y > "$folder/parameters/nested"
ok "qemu: no EPT" lacking 'kvm_intel has ept off' --machine qemu
echo N > "$folder/parameters/nested"
ok "doctor: no VMCS shadowing" doctored 'shadow  *kvm_intel has enable_shadow_vmcs off'
ok "doctor: so no KVM for qemu" doctored 'qemu  *only --accel tcg'
for parameter in nested ept enable_shadow_vmcs; do
	echo Y > "$folder/parameters/$parameter"
done
ok "doctor: all there" doctored 'qemu  *ready'
chmod 600 "$folder/kvm"
[ "$(id -u)" -ne 0 ] || as_somebody="setpriv --reuid $NOBODY --regid $NOBODY --clear-groups"
[ "$(id -u)" -eq 0 ] || chmod 0 "$folder/kvm"
ok "qemu: no rights" lacking 'kvm is not yours to use; join its group' --machine qemu
as_somebody=''
ok "libvirt: a host without KVM" lacking 'the host of .* has no KVM: ' --machine libvirt --connect "$uri"
ok "libvirt: no virsh" without_command virsh

run --machine metal --l2 cpuid --count 10
ok "metal: an image" status_is 0
ok "metal: it boots from a BIOS, L0's log on the one serial port" image_boots
ok "metal: it boots from UEFI" refused_on_uefi
run --machine metal --bare --l1 "$images/hello.elf"
cp "$out/turtles.iso" "$folder/hello.iso"
ok "metal: its serial port is read" serial_is_read "$folder/hello.iso"

refuse '--accel is for --machine qemu and libvirt' --accel tcg
refuse '--accel takes kvm or tcg, not "xen"' --machine qemu --accel xen
refuse '--connect is for --machine libvirt' --connect test:///default
refuse '--serial is for --machine metal' --serial /dev/null
refuse '--serial /nonesuch: not a device' --machine metal --serial /nonesuch
refuse 'cpus 9: 8 is the most' --machine qemu --cpus 9
refuse "--cpu a b: not the name of a CPU model" --machine libvirt --cpu 'a b'
