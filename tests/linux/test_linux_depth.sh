#!/bin/sh
# Hypervisors as guests of KVM, which is L1: Turtles as L2, minivisor on it as L3, and its payloads as L4.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/../boot/lib.sh"
# shellcheck source=tests/boot/lib_linux.sh
. "$(dirname "$0")/../boot/lib_linux.sh"

plan 3
linux --bare --l2 turtles --l3 cpuid,memory --count 20 --append kvm_intel.nested=1
ok "turtles under KVM on the bare CPU" status_is 0
transcript > "$folder/bare.txt"
linux --l2 turtles --l3 cpuid,memory --count 20 --append kvm_intel.nested=1
ok "turtles under KVM on turtles: the transcript of the bare CPU" same_transcript "$folder/bare.txt"
ok "KVM counted the exits that L0 handed to it" every_exit_is_kvms
