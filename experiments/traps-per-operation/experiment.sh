# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, scripts/exp.sh
configuration="payload instruction, 1000 operations each, VMCS shadowing on, all switches default"
tables=traps
COUNT=1000

# Operation, the payload's name for it, NEVE's.
operations() {
	printf '%s\n' "hypercall vmcall@0 hypercall" "device_io in_e0@0 device_io" "self_ipi self_ipi@0 virtual_ipi" \
		"eoi eoi@0 virtual_eoi"
}

# minivisor has no APIC for its guests.
points() {
	for what in vmcall@0 in_e0@0; do
		echo "minivisor-${what%@*} run --l2 instruction --count $COUNT --what $what"
	done
	[ -n "$quick" ] || for what in vmcall@0 in_e0@0 self_ipi@0 eoi@0; do
		echo "kvm-${what%@*} run --l1 linux --l2 instruction --count $COUNT --what $what --timeout 1800"
	done
}

# traps RUN: for each exit of L2 that an operation causes, it and those of L1 that it causes, on the average; their sum,
# and what they are. An exit that has less than one for each operation belongs to something else.
traps() {
	awk -F '\t' -v count=$COUNT '
	NR == 1 || $1 != "l2" || $4 < count { next }
	{
		times = int($4 / count)
		sum += times * (1 + $7 / $4)
		what = what separator $2 ((times > 1) ? " x" times : "")
		separator = ", "
		split("", of)
		for (i = split($8, part, ","); i > 0; i--) { split(part[i], pair, ":"); of[pair[1]] += pair[2] }
		resumes += times * of["vmresume"] / $4
	}
	END { printf "%s\t%.2f\t%.2f", what, sum, resumes }' "$1/exits.tsv"
}

neve() {
	awk -F '\t' -v metric="l0_traps_$1" '$3 == metric { print $5 }' "$experiments/published.tsv"
}

table() {
	printf 'l1\toperation\texits_of_l2\tl0_traps\tvmresume_among_them\tpublished_neve_sosp17_l0_traps\n'
	for l1 in minivisor kvm; do
		operations | while read -r operation what published; do
			[ ! -e "$points/$l1-${what%@*}" ] ||
				printf '%s\t%s\t%s\t%s\n' "$l1" "$operation" "$(traps "$points/$l1-${what%@*}/run")" "$(neve "$published")"
		done
	done
}
