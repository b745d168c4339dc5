#!/bin/sh
# L0 on another hypervisor's VMX: Debian's Linux with KVM has the emulated CPU, kvmrun starts L0's image there, and minivisor
# with payloads on it prints what it prints on the bare CPU. Under QEMU and libvirt: make check-machines.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/machines/lib_machines.sh
. "$(dirname "$0")/../machines/lib_machines.sh"

plan 4
on_kvm kvmrun cpuid,memory,exception
ok "kvmrun: L0, minivisor and payloads" status_is 0
ok "kvmrun: they print what they print on the bare CPU" cmp "$folder/bare.txt" "$folder/guest.txt"
ok "kvmrun: all three have ended" all_ended
