#!/bin/sh
# turtles doctor: what this machine can run, each kind of machine and each tool, and how to get what is missing.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
# shellcheck source=scripts/kvm-host.sh
. "$root/scripts/kvm-host.sh"

PERF_PARANOID=${PERF_PARANOID:-/proc/sys/kernel/perf_event_paranoid}
# perf of a tracepoint as a user: perf's own documentation, "Unprivileged users".
PERF_OPEN=-1

# A package's version; of a tool that no package brought, just that it is there.
version_of() {
	dpkg-query -W -f '${Version}' "$1" 2> /dev/null || echo 'there, not from a Debian package'
}

tools() {
	package_table build emulator check plots machines hosts browser | while IFS=$tab read -r group package probe; do
		if is_present "$probe"; then
			printf '  %-28s %-9s %s\n' "$package" "$group" "$(version_of "$package")"
		else
			printf '  %-28s %-9s missing\n' "$package" "$group"
		fi
	done
}

line() {
	printf '  %-10s %s\n' "$1" "$2"
}

# without PACKAGE...: those of them that are missing, as a complaint, or nothing.
without() {
	for package in "$@"; do
		probe=$(awk -F '\t' -v package="$package" '$2 == package { print $3 }' "$root/scripts/packages.txt")
		is_present "$probe" || printf ' %s' "$package"
	done
}

kind_bochs() {
	if [ -z "$need" ]; then
		line bochs "ready: an emulated VMX CPU, exact counts of instructions"
	else
		line bochs "missing: $need"
	fi
}

kind_qemu() {
	qemu_need=$(without qemu-system-x86)
	if [ -n "$qemu_need" ]; then
		line qemu "missing:$qemu_need"
	elif [ -n "$(kvm_host_complaint)" ]; then
		line qemu "only --accel tcg: see KVM below"
	else
		line qemu "ready: this host's VMX by KVM, measured cycles"
	fi
}

kind_libvirt() {
	libvirt_need=$(without libvirt-clients libvirt-daemon)
	if [ -n "$libvirt_need" ]; then
		line libvirt "missing:$libvirt_need"
	elif ! libvirt_said=$(timeout 20 virsh -q -c qemu:///session capabilities 2>&1); then
		line libvirt "no answer at qemu:///session: $(printf '%s\n' "$libvirt_said" | tail -n 1)"
	elif printf '%s\n' "$libvirt_said" | grep -q "<domain type='kvm'"; then
		line libvirt "ready: domains at qemu:///session with KVM"
	else
		line libvirt "only --accel tcg at qemu:///session: libvirt finds no KVM there"
	fi
}

kind_metal() {
	if [ -n "$(without grub-pc-bin xorriso)" ]; then
		line metal "missing:$(without grub-common grub-pc-bin xorriso)"
	elif [ -n "$(without grub-efi-amd64-bin)" ]; then
		line metal "ready: make image, for a BIOS; for UEFI too: missing:$(without grub-efi-amd64-bin)"
	else
		line metal "ready: make image, for BIOS and UEFI"
	fi
}

# kvm_line NAME COMPLAINT
kvm_line() {
	line "$1" "${2:-ready}"
}

kvm() {
	kvm_line VMX "$(kvm_lacks_vmx)"
	kvm_line device "$(kvm_lacks_device)$(kvm_lacks_rights)"
	if [ -n "$(kvm_lacks_module)" ]; then
		kvm_line kvm_intel "$(kvm_lacks_module)"
		return
	fi
	kvm_line nested "$(kvm_lacks nested "so its guests have no VMX")"
	kvm_line ept "$(kvm_lacks ept "so its guests have no EPT")"
	kvm_line shadow "$(kvm_lacks enable_shadow_vmcs "so each VMREAD and VMWRITE of L0's leaves to KVM")"
}

host_perf() {
	if ! perf --version > /dev/null 2>&1; then
		line perf "missing: linux-perf; --perf needs it"
	elif [ "$(id -u)" -ne 0 ] && [ "$(cat "$PERF_PARANOID")" -gt $PERF_OPEN ]; then
		line perf "KVM's tracepoints are not yours to see; sudo sysctl kernel.perf_event_paranoid=-1"
	else
		line perf ready
	fi
}

need=$(missing_packages build emulator)
missing=$(missing_packages build emulator check machines)
echo "Machine kinds"
kind_bochs
kind_qemu
kind_libvirt
kind_metal
echo "KVM of this host, for qemu and libvirt"
kvm
host_perf
echo "Tools"
tools
if [ -n "$missing" ]; then
	echo "To get what is missing:"
	echo "  sudo apt-get update && sudo $(install_command "$missing")"
fi
[ -z "$need" ]
