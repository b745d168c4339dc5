#!/bin/sh
# l0-coverage.sh [TEST]...: what of L0, with the pure rooms in it, the boot tests reach, in lines and branches; all that
# have no marks of their own in instructions, unless some are named. Leaves build/l0-coverage/: table.txt, and gcov/
# with every line's count. Takes a quarter of an hour.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

place=$BUILD/l0-coverage
# These hold L0 to its instructions, of which an L0 that counts its branches has more; or start no L0 at all.
LEFT_OUT='marks|witness|determinism|timeout|usage|l0_faults'

# unpack FILE FOLDER: the files that an L0 wrote to its log.
unpack() {
	awk -v folder="$2" -v top="$place/" -F '\t' '
	$1 == "gcda" {
		if (file) close(command)
		file = substr($2, length(top) + 1)
		gsub("/", "#", file)
		command = "xxd -r -p > \"" folder "/" file "\""
	}
	$1 == "gcdx" { print $2 | command }' "$1"
}

# What all runs of a test left, added to the sum.
gather() {
	for dump in "$place"/dumps/*; do
		[ -e "$dump" ] || break
		mkdir "$place/one"
		unpack "$dump" "$place/one"
		if [ -d "$place/sum" ]; then
			gcov-tool merge -o "$place/new" "$place/sum" "$place/one" > "$place/merge.log" 2>&1
			rm -rf "$place/sum" "$place/one"
			mv "$place/new" "$place/sum"
		else
			mv "$place/one" "$place/sum"
		fi
		rm "$dump"
	done
}

all_tests() {
	for test in tests/boot/test_*.sh; do
		name=${test#tests/boot/test_}
		printf '%s\n' "${name%.sh}"
	done | grep -vxE "$LEFT_OUT"
}

# Each file's counters back to where gcov looks for them; a listing of each with the count of every line.
table() {
	for data in "$place"/sum/*.gcda; do
		name=$(basename "$data" .gcda | tr '#' '/')
		cp "$data" "$place/$name.gcda"
		gcov -b -t "$place/$name.o" > "$place/gcov/$(basename "$data" .gcda).txt" 2> "$place/gcov.log"
		gcov -b -n "$place/$name.o" 2>> "$place/gcov.log"
	done | awk -f scripts/gcov.awk
}

cd "$root"
[ $# -gt 0 ] || {
	# shellcheck disable=SC2046 # names of tests
	set -- $(all_tests)
}
rm -rf "$place/dumps" "$place/sum" "$place/one" "$place/new" "$place/gcov"
mkdir -p "$place/dumps" "$place/gcov"
make_quietly "$place/turtles.elf" tests all
for name in "$@"; do
	say "coverage: $name"
	TURTLES_L0=$place/turtles.elf TURTLES_COVERAGE=$place/dumps sh "tests/boot/test_$name.sh" > "$place/$name.log" 2>&1 || :
	gather
done
table > "$place/table.txt"
cat "$place/table.txt"
