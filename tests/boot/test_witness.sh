#!/bin/sh
# The emulator's own log of every exit tells the same as L0's counters: counts, owners, causes and instructions.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

witness() {
	"$root/scripts/witness.sh" --timeout 60 "$@"
}

# A witness that sees less than L0 tells is to be heard.
doctored() {
	run --l2 cpuid --count 5
	printf '' | awk -v names="$root/include/exit_reasons.def" -v rest="$folder/rest" -f "$root/scripts/witness.awk" \
		> "$folder/nothing.tsv"
	! cmp -s "$folder/nothing.tsv" "$out/exits.tsv" && [ "$(wc -l < "$folder/nothing.tsv")" -eq 1 ]
}

# The emulator's clock goes far beyond what awk prints of a number by itself.
long_run() {
	printf '%s\n' '02147483650d[CPU0  ] VMLAUNCH VMCS ptr: 0x1000' '02147483749d[CPU0  ] VMEXIT reason = 10' |
		awk -v names="$root/include/exit_reasons.def" -v rest="$folder/rest" -f "$root/scripts/transitions.awk" |
		grep -x "2147483650${tab}2147483749${tab}1${tab}cpuid"
}

plan 8
ok "cpuid" witness --l2 cpuid --count 200
ok "every kind of payload" witness --memory 128 --count 20 \
	--l2 cpuid,io,io_pass,msr,msr_pass,vmcall,memory,paging,exception,exception_pass,delivery,compute
ok "timer interrupts" witness --l2 halt,window --count 50
ok "L1 without EPT, moved in memory" witness --l2 memory,paging --count 20 --append ept=off --set l1_offset=16
ok "everything off" witness --l2 cpuid,memory --count 20 --set ept01_large_pages=off --set ept02_cache=off \
	--set dirty_tracking=off --set lazy_guest_state=off --set bitmap_cache=off --set vpid02=off
ok "an L1 that is no hypervisor" witness --l1 "$images/hello.elf"
ok "a log without exits makes an empty table, which is not L0's" doctored
ok "ticks of a long run have all their digits" long_run
