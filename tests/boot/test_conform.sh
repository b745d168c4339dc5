#!/bin/sh
# The conformance suite on the default CPU model, whole: L0 is the bare CPU, but for the differences that are listed.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

groups=$(printf '%s\n' "$root"/tests/conform/*.c | sed 's,.*/,,; s,\.c$,,')

is_whole() {
	status_is 0 && grep -q '^# [1-9][0-9]* cases, ' "$folder/stdout"
}

plan $(($(printf '%s\n' "$groups" | wc -l) + 2))
for group in $groups; do
	turtles conform "$group"
	ok "$group" is_whole
done
turtles conform frobnicate
ok "an unknown group is wrong usage" status_is 2
ok "and one line says so" one_error 'no group is called "frobnicate"'
