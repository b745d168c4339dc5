#!/bin/sh
# Every experiment in its quick form: its tables can be made, and no figure has risen by more than 5% beyond the reference.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

RISE=5

# Each folder is an experiment that the list knows, with what its README must tell; but costs, which has the prices of the
# cost model.
complete() {
	for experiment in "$root"/experiments/*/; do
		{ [ -d "$experiment" ] && [ "$(basename "$experiment")" != costs ]; } || continue
		name=$(basename "$experiment")
		grep -q "^# $name: " "$experiment/README.md" || echo "$name: README.md does not begin with \"# $name: question\""
		for word in Method Expected Source; do
			grep -q "^\*\*$word\.\*\* " "$experiment/README.md" || echo "$name: README.md has no **$word.**"
		done
		[ -n "$(find "$experiment/results/quick" -name '*.tsv')" ] || echo "$name: no reference results of --quick"
	done > "$folder/complaints"
	cat "$folder/complaints"
	[ ! -s "$folder/complaints" ]
}

ok "each experiment is complete" complete
for experiment in "$root"/experiments/*/; do
	{ [ -d "$experiment" ] && [ "$(basename "$experiment")" != costs ]; } || continue
	name=$(basename "$experiment")
	turtles exp "$name" --quick --jobs 1 --out "$folder/$name"
	ok "$name runs" status_is 0
	turtles exp diff "$experiment/results/quick" "$folder/$name" --rise $RISE
	ok "$name: no figure has risen by more than $RISE%" status_is 0
done
plan $number
