#!/bin/sh
# L0's switches in combination, under each way in which L1 can do its work, and on each CPU model: L1's
# console is byte by byte that of the same L1 on the bare CPU. One switch at a time is for test_switches.sh.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

GUESTS=cpuid,io,msr,vmcall,memory,halt,exception,paging,debug
OFFSETS="0 3 8 16"
# L1 without what it usually leans on, with EPT filled ahead, and with a switch of guests at each exit.
L1_WAYS="ept=off vpid=off map=eager map=large quantum=1"
# VMX without EPT or unrestricted guest: see test_l0_faults.sh.
TOO_OLD="corei5_lynnfield_750|core2_penryn_t9600"

able_models() {
	cpu_table | awk -F '\t' -v too_old="^($TOO_OLD)\$" '$2 == "yes" && $1 !~ too_old { print $1 }'
}

# Room for eight guests, each page of them 2 MiB, above the highest offset.
guests() {
	run --l2 $GUESTS --count 10 --memory 128 --timeout 30 "$@"
}

# bare NAME ARGUMENT...: the reference of what follows.
bare() {
	bare_name=$1
	shift
	guests --bare "$@"
	cp "$out/console.txt" "$folder/bare.txt"
	ok "$bare_name, on the bare CPU" status_is 0
}

as_bare() {
	status_is 0 && cmp "$folder/bare.txt" "$out/console.txt"
}

# on_l0 NAME ARGUMENT...
on_l0() {
	on_l0_name=$1
	shift
	guests "$@"
	ok "$on_l0_name" as_bare
}

# slow_on_l0 NAME ARGUMENT...: with all switches slow.
slow_on_l0() {
	slow_name=$1
	shift
	for setting in $slow; do
		set -- "$@" --set "$setting"
	done
	on_l0 "$slow_name, all switches slow" "$@"
}

of_both_kinds() {
	echo "$slow"
	echo "$slow" | grep -q '=off$' && echo "$slow" | grep -q '_slots=1$'
}

slow=$(slow_settings)
ok "there are switches to be slow, slots and others" of_both_kinds

bare "eight guests"
for offset in $OFFSETS; do
	on_l0 "l1_offset=$offset" --set l1_offset="$offset"
	slow_on_l0 "l1_offset=$offset" --set l1_offset="$offset"
done

for way in $L1_WAYS; do
	bare "L1 with $way" --append "$way"
	on_l0 "L1 with $way" --append "$way"
	on_l0 "L1 with $way, l1_offset=3" --append "$way" --set l1_offset=3
	slow_on_l0 "L1 with $way, l1_offset=3" --append "$way" --set l1_offset=3
done

# On top of the last of these, which makes L0 change VMCS12 and EPTP12 at each exit.
for setting in $slow; do
	on_l0 "L1 with quantum=1, l1_offset=8, $setting" --append quantum=1 --set l1_offset=8 --set "$setting"
done

for model in $(able_models); do
	bare "$model" --cpu "$model"
	on_l0 "$model" --cpu "$model"
	slow_on_l0 "$model, l1_offset=3" --cpu "$model" --set l1_offset=3
done
plan $number
