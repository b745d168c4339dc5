#!/bin/sh
# Two runs are equal to the last instruction, one after the other and at the same time.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

run_into() {
	"$root/turtles" run --l2 cpuid,memory,halt,io --count 100 --out "$folder/$1" > "$folder/$1.terminal" 2>&1
}

same_in_all() {
	for name in second third fourth; do
		cmp "$folder/first/$1" "$folder/$name/$1" || return 1
	done
}

alone_differs() {
	! cmp -s "$folder/first/exits.tsv" "$folder/other/exits.tsv"
}

plan 11
ok "the first run" run_into first
ok "the second run" run_into second
run_into third &
ok "a run beside another" run_into fourth
other=0
wait $! || other=$?
ok "the other" [ $other -eq 0 ]
for file in exits.tsv run.tsv console.txt l0.txt summary.txt; do
	ok "$file: the same in all four" same_in_all $file
done
ok "there is an instruction count" grep -q "^instructions${tab}[1-9][0-9]*\$" "$folder/first/run.tsv"
"$root/turtles" run --l2 cpuid,memory,halt,io --count 101 --out "$folder/other" > "$folder/other.terminal" 2>&1
ok "one iteration more makes a difference" alone_differs
