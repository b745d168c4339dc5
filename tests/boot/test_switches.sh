#!/bin/sh
# Each switch of L0 at each value (or the ends of its range): the guests end as ever, and run.tsv tells the value.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

GUESTS=cpuid,memory,paging,msr,vmcall,delivery

# Values to try, a line each: SWITCH=VALUE. test_fault makes L0 fail, see test_failures.sh; l1 is --l1's, see test_bios.sh;
# trace is --trace's, see test_trace.sh; of a range, what differs.
settings() {
	"$root/turtles" list | sed -n 's/^  \([a-z0-9_]*\) .*\[\(.*\); default .*\]$/\1 \2/p' | while read -r name values; do
		case $name in
		test_fault | l1 | log | trace) continue ;;
		cpus) echo cpus=1 ;;
		l1_offset) echo "l1_offset=2 l1_offset=16 l1_offset=65" ;;
		*) case $values in
			*..*) echo "$name=${values%..*} $name=${values#*..}" ;;
			*) echo "$name=$(echo "$values" | sed "s/|/ $name=/g")" ;;
			esac ;;
		esac
	done | tr ' ' '\n'
}

run --memory 128 --bare --l2 $GUESTS --count 20 --timeout 20
cp "$out/console.txt" "$folder/bare.txt"
plan $((3 * $(settings | wc -l) + 4))
ok "the reference on the bare CPU" status_is 0
for setting in $(settings); do
	run --memory 128 --l2 $GUESTS --count 20 --set "$setting" --timeout 20
	ok "$setting" status_is 0
	ok "$setting: the console is the bare CPU's" cmp "$folder/bare.txt" "$out/console.txt"
	ok "$setting: run.tsv tells it" fact_is "switch.${setting%%=*}" "${setting#*=}"
done

run --memory 128 --l2 $GUESTS --count 20 --set l1_offset=16 --set ept01_large_pages=off --set ept02_large_pages=off \
	--set ept02_cache=off --set dirty_tracking=off --set lazy_guest_state=off --set bitmap_cache=off --set vpid02=off \
	--append ept=off --timeout 20
ok "all off at once, L1 moved and without EPT" status_is 0
run --memory 128 --l2 $GUESTS --count 20 --set vpid02=off --set vpid02=on
ok "of a switch that is given twice, the last counts" fact_is switch.vpid02 on
run --bare --l2 cpuid --set vpid02=off
ok "a switch is no matter to the bare CPU" status_is 0
