#!/bin/sh
# witness.sh [ARGUMENT OF turtles run]...: a run that the emulator's own log bears witness of. Ends well if the table
# that L0 kept (exits.tsv) is the one that the log tells (witness.tsv, left beside it).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

status=0
TURTLES_WITNESS=witness "$root/turtles" run --out "$folder/out" "$@" > "$folder/terminal" 2>&1 || status=$?
if [ $status -ne 0 ]; then
	cat "$folder/terminal"
	exit $status
fi
cat "$folder/out/witness.tsv"
if ! diff "$folder/out/witness.tsv" "$folder/out/exits.tsv" > "$folder/diff"; then
	echo "the emulator's log (<) and L0's table (>) differ:"
	cat "$folder/diff"
	exit 1
fi
