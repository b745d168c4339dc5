#!/bin/sh
# The soak: an L1 that switches among 64 VMCSs, four times what L0 has slots for here, and counts its exits. In short;
# `make soak` asks for ten million exits (SOAK_EXITS, SOAK_SECONDS) and shows how far it is.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

exits=${SOAK_EXITS:-100000}
seconds=${SOAK_SECONDS:-150}

# soak ARGUMENT...: as turtles in lib.sh, but for the lines that tell how far it is.
soak() {
	rm -rf "$out"
	{
		status=0
		"$root/turtles" run --out "$out" --l1 "$BUILD/soak.elf" --append "exits=$exits" --timeout "$seconds" "$@" \
			2> "$folder/stderr" || status=$?
		echo $status > "$folder/status"
	} | tee "$folder/stdout" | grep --line-buffered '^# ' || :
	status=$(cat "$folder/status")
}

# L1's counts by reason, against those of L0's that L1 handled.
counts_agree() {
	sed -n 's/^soak\.exit\.\([a-z_]*\): [0-9]* [0-9]* \([0-9]*\)$/\1 \2/p' "$out/console.txt" | sort > "$folder/l1.txt"
	awk -F '\t' '$1 == "l2" && $3 == "l1" { print $2, $4 }' "$out/exits.tsv" | sort > "$folder/l0.txt"
	[ -s "$folder/l1.txt" ] && diff "$folder/l1.txt" "$folder/l0.txt"
}

# The rows that L0 printed at its start and at its end.
no_growth() {
	[ "$(sed -n 's/^home .*, \([0-9]*\) KiB of it free.*/\1/p' "$out/l0.txt")" -eq "$(fact home_free_kib)" ]
}

evicted() {
	[ "$(fact vmcs02_evictions)" -ge $((exits / 50)) ]
}

# The reasons that exit on this CPU; fewer would be a soak of something else.
all_reasons() {
	[ "$(wc -l < "$folder/l1.txt")" -ge 31 ]
}

plan 5
soak --set self_check=on --set vmcs02_slots=16
ok "$exits exits of 64 guests: both halves the same, no guest loses count, no drift" status_is 0
ok "L0 and L1 have counted the same exits, reason by reason" counts_agree
ok "of all reasons" all_reasons
ok "L0 has taken no memory" no_growth
ok "and has made room by eviction" evicted
