#!/bin/sh
# Real machines, played by the emulated CPU: Debian's Linux with KVM on it, Debian's QEMU there, and L0's image as the guest,
# on KVM's nested VMX. All payloads of minivisor pass on it.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/../boot/lib.sh"
# shellcheck source=tests/machines/lib_machines.sh
. "$(dirname "$0")/lib_machines.sh"

plan 8
on_kvm qemu "$(all_payloads)"
passes_everywhere qemu
