#!/bin/sh
# Random guests print the same on L0 as on the bare CPU: fixed seeds, and the cases that were once found to differ.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

FEW="--set ept02_slots=1 --set vmcs02_slots=1"
slow=$(all_slow)
regressions=$root/tests/diff/regressions.txt

all_equal() {
	status_is 0 && grep -q '^[1-9][0-9]* cases, [1-9][0-9]* VM entries, 0 different' "$folder/stdout"
}

# equal SEED COUNT ARGUMENTS
equal() {
	fuzz_seed=$1 fuzz_count=$2
	shift 2
	turtles fuzz --seed "$fuzz_seed" --count "$fuzz_count" "$@"
	ok "seed $fuzz_seed, $fuzz_count cases${*:+, $*}" all_equal
}

# The plan: the rows below, and one test for each regression.
plan $((8 + $(grep -c '^[0-9]' "$regressions")))
equal 1 600
equal 2 150 --set l1_offset=16
# shellcheck disable=SC2086 # several words
equal 3 150 $slow
# shellcheck disable=SC2086 # several words
equal 4 150 $FEW
equal 5 150 --cpu corei7_icelake_u
equal 6 150 --cpu corei7_sandy_bridge_2600k
while read -r seed first last reason; do
	case $seed in
	'#'*) continue ;;
	esac
	turtles fuzz --seed "$seed" --first "$first" --count $((last - first + 1))
	ok "seed $seed, cases $first to $last: $reason" all_equal
done < "$regressions"
turtles fuzz --seed x
ok "a seed that is no number is wrong usage" status_is 2
ok "and one line says so" one_error '--seed takes a number, not "x"'
