# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, scripts/exp.sh
configuration="payloads instruction and ipi, 1000 operations each, VMCS shadowing on, all switches default"
tables=traps
COUNT=1000

# L1, how it runs, operation, the payload and what it is told, NEVE's operation.
operations() {
	cat <<'END'
minivisor - hypercall instruction vmcall@0 hypercall
minivisor - device_io instruction in_e0@0 device_io
minivisor - ipi ipi - virtual_ipi
minivisor - eoi instruction eoi@0 virtual_eoi
minivisor apicv=on ipi ipi - virtual_ipi
minivisor apicv=on eoi instruction eoi@0 virtual_eoi
END
	[ -n "$quick" ] || cat <<'END'
kvm - hypercall instruction vmcall@0 hypercall
kvm - device_io instruction in_e0@0 device_io
kvm - self_ipi instruction self_ipi@0 none
kvm - eoi instruction eoi@0 virtual_eoi
END
}

# point_of L1 WORDS OPERATION
point_of() {
	case $2 in
	-) echo "$1-$3" ;;
	*) echo "$1-${2%=*}-$3" ;;
	esac
}

points() {
	operations | while read -r l1 words operation payload what _; do
		command="run --l2 $payload --count $COUNT"
		[ "$what" = - ] || command="$command --what $what"
		[ "$words" = - ] || command="$command --append $words"
		[ "$l1" = minivisor ] || command="$command --l1 linux --timeout 1800"
		echo "$(point_of "$l1" "$words" "$operation") $command"
	done
}

# traps RUN: for each exit of L2 that an operation causes, it and those of L1 that it causes, on the average; what they are,
# their sum, and of it what L1 executes. An exit that has less than one for each operation belongs to something else.
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
		switches += times * of["vmptrld"] / $4
	}
	END { printf "%s\t%.2f\t%.2f\t%.2f", what == "" ? "none" : what, sum, resumes, switches }' "$1/exits.tsv"
}

neve() {
	awk -F '\t' -v metric="l0_traps_$1" '
	$3 == metric { value = $5 }
	END { print value == "" ? "-" : value }' "$experiments/published.tsv"
}

table() {
	printf 'l1\twords\toperation\texits_of_l2\tl0_traps\tvmresume_among_them\tvmptrld_among_them\t'
	printf 'published_neve_sosp17_l0_traps\n'
	operations | while read -r l1 words operation _ _ published; do
		printf '%s\t%s\t%s\t%s\t%s\n' "$l1" "$words" "$operation" \
			"$(traps "$points/$(point_of "$l1" "$words" "$operation")/run")" "$(neve "$published")"
	done
}
