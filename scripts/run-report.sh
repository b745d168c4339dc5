# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, the script that sources this
# What a run leaves behind: run.tsv, exits.tsv, fields.tsv, summary.txt. Sourced by run.sh, after the machine has ended.

l0_fact() {
	awk -F '\t' -v key="$1" '$1 == "run" && $2 == key { value = $3 } END { print value }' "$out/l0.txt"
}

# The switches as asked for or by default, for an L0 that ended before it told its own.
switch_rows() {
	switch_table | awk -F '\t' -v given="$machine_options $switches" '
	BEGIN {
		n = split(given, words, " ")
		for (i = 1; i <= n; i++) {
			at = index(words[i], "=")
			value[substr(words[i], 1, at - 1)] = substr(words[i], at + 1)
		}
	}
	{ printf "switch.%s\t%s\n", $1, ($1 in value) ? value[$1] : $2 }'
}

run_rows() {
	printf '%s\t%s\n' \
		commit "$commit" \
		machine "$machine" \
		cpu_model "$cpu" \
		cpus "$cpus" \
		memory_mib "$memory" \
		emulator_version "$version" \
		boot "$boot" \
		l0 "$([ -n "$bare" ] && echo none || echo turtles)" \
		l1 "$l1_line" \
		l2 "${l2:-none}" \
		count "$count" \
		verdict "$verdict"
	[ -z "$pin" ] || printf 'pinned_to\t%s\n' "$pin"
	[ -z "$(machine_instructions)" ] || printf 'instructions\t%s\n' "$(machine_instructions)"
	printf 'unit\t%s\n' "$machine_unit"
	[ -n "$bare" ] || switch_rows
	awk -F '\t' -v OFS='\t' '$1 == "run" { print $2, $3 }' "$out/l0.txt"
}

# A key's last row counts: what L0 tells is what was, above what it was asked for.
write_run() {
	run_rows | awk -F '\t' '
	!($1 in row) { order[++n] = $1 }
	{ row[$1] = $0 }
	END { for (i = 1; i <= n; i++) print row[order[i]] }' > "$out/run.tsv"
}

write_exits() {
	{
		printf 'from\treason\towner\tcount\tl0_%s\tl1_%s\tl1_exits\tl1_exits_by_reason\n' \
			"$machine_unit" "$machine_unit"
		tr -d '\r' < "$out/l0.txt" | sed -n "s/^exits$tab//p"
	} > "$out/exits.tsv"
}

# With the switch field_stats.
write_fields() {
	rm -f "$out/fields.tsv"
	grep -q "^fields$tab" "$out/l0.txt" || return 0
	{
		printf 'field\tvmreads\tvmwrites\tdirect\n'
		tr -d '\r' < "$out/l0.txt" | sed -n "s/^fields$tab//p"
	} > "$out/fields.tsv"
}

# With --l1-perf: what KVM in L1 saw, by the names that its reasons have here.
write_l1_perf() {
	rm -f "$out/l1-perf.tsv"
	[ -n "$l1_perf" ] || return 0
	{
		sed -n 's/^R(\([0-9]*\), \([a-z0-9_]*\))$/name \1 \2/p' "$root/include/exit_reasons.def"
		tr -d '\r' < "$out/console.txt" | sed -n 's/^perf: \([a-z_]* [^ ]* [0-9]*\)$/\1/p'
	} | awk -v OFS='\t' '
	BEGIN { print "event", "reason", "count" }
	$1 == "name" { name[$2] = $3; next }
	{ count[$1 OFS ($2 in name ? name[$2] : $2)] += $3 }
	END { for (row in count) print row, count[row] | "sort" }' > "$out/l1-perf.tsv"
}

# exits_table UNIT: its short name.
exits_table() {
	awk -F '\t' -v unit="$1" '
	function each(total) { return sprintf("%.1f", total / $4) }
	function row(from, reason, owner, count, l0, l1, exits, which) {
		printf "%-4s  %-25s  %-5s  %9s  %9s  %9s  %8s  %s\n", from, reason, owner, count, l0, l1, exits, which
	}
	NR == 1 {
		row("exit", "", "", "", "L0 " unit, "L1 " unit, "L1 exits", "")
		row("from", "reason", "owner", "count", "per exit", "per exit", "per exit", "of which (from 0.1)")
		next
	}
	$3 == "l0" {
		row($1, $2, $3, $4, each($5), "-", "-", "")
		next
	}
	{
		which = ""
		n = split($8, parts, ",")
		for (i = 1; i <= n; i++) {
			split(parts[i], part, ":")
			if (part[2] / $4 >= 0.1)
				which = which (which == "" ? "" : ", ") part[1] " " each(part[2])
		}
		row($1, $2, $3, $4, each($5), each($6), each($7), which)
	}' "$out/exits.tsv" | sed 's/ *$//'
}

short_unit() {
	case $machine_unit in
	instructions) echo instr. ;;
	*) echo "$machine_unit" ;;
	esac
}

after_instructions() {
	[ -z "$(machine_instructions)" ] || printf ' after %s instructions' "$(machine_instructions)"
}

# How much each level executed, from L1's first instruction to the end, halted time included.
levels_line() {
	awk -F '\t' -v unit="$machine_unit" '
	$1 == "run" && $2 ~ /^l[012]_ticks$/ { ticks[substr($2, 2, 1)] = $3; sum += $3 }
	END {
		if (!sum) exit
		printf "in all"
		for (n = 0; n <= 2; n++) printf "%s L%d %.0f (%.1f %%)", n ? "," : "", n, ticks[n], 100 * ticks[n] / sum
		print " " unit
	}' "$out/l0.txt"
}

write_summary() {
	{
		printf '%s, %s, %s CPU, %s MiB, Turtles %s\n' "$version" "$cpu" "$cpus" "$memory" "$commit"
		printf 'L1: %s%s; L2: %s\n' "$l1_line" "$([ -n "$bare" ] && echo ', on the bare CPU')" "${l2:-of its own}"
		if [ "$(wc -l < "$out/exits.tsv")" -gt 1 ]; then
			exits_table "$(short_unit)"
			echo "The owner handled the exit; L0's and L1's $machine_unit are all until the level that exited ran again."
			printf 'Of them the counting itself took %s %s per exit.\n' \
				"$(l0_fact accounting_ticks_per_exit)" "$machine_unit"
			[ -z "$trace" ] || printf 'The trace took %s %s, which are not in the table.\n' \
				"$(l0_fact trace_ticks)" "$machine_unit"
			[ "$cpus" -eq 1 ] || [ "$machine_unit" != instructions ] ||
				echo "With several CPUs a tick is not one instruction: what one CPU ran counts for all."
		fi
		levels_line
		printf 'verdict: %s%s\n' "$verdict" "$(after_instructions)"
	} > "$out/summary.txt"
}

# vmcs01_of NUMBER: the VMCS on which that CPU runs L1; nothing before L0 has told.
vmcs01_of() {
	l0_fact vmcs01 | cut -d ' ' -f $(($1 + 1))
}

# level_of NUMBER VMCS MODE: which of the levels a CPU is in, by whether VMX is on and by the VMCS it runs on.
level_of() {
	case $2,$3 in
	*,off) if [ -n "$bare" ]; then echo L1; else echo 'L0, before VMXON'; fi ;;
	*,root) if [ -n "$bare" ]; then echo L1; else echo L0; fi ;;
	*,unknown) echo 'one of the levels' ;;
	*,guest)
		if [ -n "$bare" ]; then
			echo L2
		elif [ "$(vmcs01_of "$1")" = "" ]; then
			echo 'L1 or L2'
		elif [ "$(vmcs01_of "$1")" = "$2" ]; then
			echo L1
		else
			echo L2
		fi
		;;
	esac
}

# symbol_at FILE ADDRESS: " (name+offset in FILE)", or nothing.
symbol_at() {
	[ -f "$1" ] || return 0
	symbol=$(nm -n "$1" 2> "$work/nm.txt" | awk -v want="$(printf '%016x' $(($2)))" '
	$2 ~ /^[tTwW]$/ {
		address = $1
		while (length(address) < 16) address = "0" address
		if (address <= want) { name = $3; at = address }
	}
	END { if (name != "") print name, at }')
	[ -n "$symbol" ] || return 0
	printf ' (%s+%#x in %s)' "${symbol% *}" $(($2 - 0x${symbol#* })) "${1##*/}"
}

stand_symbol() {
	case $1 in
	L0*) symbol_at "$BUILD/turtles.elf" "$2" ;;
	L1) symbol_at "$l1_file" "$2" ;;
	L2) case $l2 in
		'' | *,*) ;;
		*) symbol_at "$BUILD/guests/$l2.elf" "$2" ;;
		esac ;;
	esac
}

# left_off LEVEL VMCS: where it was left, if this kind of machine can tell.
left_off() {
	command -v machine_guest_rip > /dev/null || return 0
	left_at=$(machine_guest_rip "$2")
	[ -z "$left_at" ] || printf '; %s left off at %s%s' "$1" "$left_at" "$(stand_symbol "$1" "$left_at")"
}

# levels_below NUMBER VMCS LEVEL: where those left off that the CPU is not in.
levels_below() {
	vmcs01=$(vmcs01_of "$1")
	case ${bare:-no},$3 in
	yes,L1) left_off L2 "$2" ;;
	no,L2) left_off L1 "$vmcs01" ;;
	no,L0)
		left_off L1 "$vmcs01"
		[ "$2" = "$vmcs01" ] || left_off L2 "$2"
		;;
	esac
}

say_timeout() {
	machine_stand > "$work/stand"
	[ -s "$work/stand" ] || say "timeout after $timeout s: the emulator did not say where the guest stood"
	while IFS=$tab read -r number rip mode vmcs; do
		stand_level=$(level_of "$number" "$vmcs" "$mode")
		stand_at="cpu $number at rip $rip in $stand_level$(stand_symbol "$stand_level" "$rip")"
		say "timeout after $timeout s: $stand_at$(levels_below "$number" "$vmcs" "$stand_level")"
	done < "$work/stand"
}

# What L0 said on its log when it stopped, in one line: its own words, not its tables.
l0_complaint() {
	tr -d '\r' < "$out/l0.txt" | grep -v -e "^exits$tab" -e "^fields$tab" -e "^run$tab" -e '^turtles-l0-verdict' |
		grep -e '^L0[: ]' -e '^L1 ' | head -n 1
}

# One line on why there is no verdict of success.
say_failure() {
	why=$(machine_complaint)
	if [ "$verdict" = failure ]; then
		say "the guest reported failure; its console and L0's log are in $out"
	elif [ -n "$why" ]; then
		say "$why; the logs are in $out"
	elif [ -z "$bare" ] && [ -n "$(l0_complaint)" ]; then
		say "$(l0_complaint); L0's log is $out/l0.txt"
	else
		say "the machine ended (emulator status $machine_status) without a verdict line; the logs are in $out"
	fi
}

report() {
	commit=$("$root/scripts/version.sh")
	version=$(machine_version)
	write_exits
	write_fields
	write_l1_perf
	write_run
	write_summary
	echo
	cat "$out/summary.txt"
	printf '%s s of wall time; all of this run is in %s\n' "$(($(date +%s) - began))" "$out"
	case $verdict in
	success) ;;
	timeout) say_timeout ;;
	*) say_failure ;;
	esac
}
