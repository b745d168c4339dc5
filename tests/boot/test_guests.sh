#!/bin/sh
# Several L2 in turn, each with a VMCS of its own; L1 with and without EPT and VPID.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

COUNT=30

# both NAME ARGUMENT...: success on L0 and on the bare CPU, with the same console.
both() {
	both_name=$1
	shift
	run --bare --count $COUNT --timeout 20 "$@"
	ok "$both_name, on the bare CPU" status_is 0
	cp "$out/console.txt" "$folder/bare.txt"
	run --count $COUNT --timeout 20 "$@"
	ok "$both_name, on L0" status_is 0
	ok "$both_name: the same console on both" cmp "$folder/bare.txt" "$out/console.txt"
}

# all_ended N: so many guests said that they ended well.
all_ended() {
	[ "$(grep -c '^\[[a-z_0-9]*\] ended: success$' "$out/console.txt")" -eq "$1" ]
}

plan 38
both "three guests" --l2 cpuid,vmcall,io
ok "all three ended" all_ended 3
ok "their exits add up" exits_are l2 cpuid l1 $COUNT
both "the same guest four times" --l2 cpuid,cpuid,cpuid,cpuid
ok "their exits add up, too" exits_are l2 cpuid l1 $((4 * COUNT))
both "guests of every kind" --l2 memory,paging,msr,delivery,exception,exception_pass,compute
ok "all seven ended" all_ended 7
both "a switch at every exit" --l2 cpuid,memory,vmcall --append quantum=1
both "L1 without EPT" --l2 cpuid,memory,paging,msr,vmcall --append ept=off
ok "EPT was off" grep -q 'ept off' "$out/console.txt"
both "L1 without VPID" --l2 cpuid,paging --append vpid=off
ok "VPID was off" grep -q 'vpid off' "$out/console.txt"

both "a second virtual CPU" --l2 ipi,cpuid
ok "each IPI exits, its end too" exits_are l2 wrmsr l1 $((2 * COUNT))
both "a second virtual CPU, without EPT" --l2 ipi --append ept=off
both "interrupts that the CPU delivers" --l2 ipi --append apicv=on
ok "their ends do not exit" exits_are l2 wrmsr l1 $COUNT

run --l2 halt,window,cpuid --count $COUNT --timeout 20
ok "guests that wait for interrupts, beside one that does not" status_is 0
ok "all three ended, the sleepers too" all_ended 3
ok "each interrupt came once" exits_are l2 interrupt_window l1 $COUNT
