# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, scripts/exp.sh
configuration="payload fault under minivisor (ept=on: EPT-on-EPT, ept=off: shadow-on-EPT), shadow_fields=fixed"
tables="faults"
plots="exits"
levels="1 2 3 4"
[ -z "$quick" ] || levels="1 4"

points() {
	for levels_written in $levels; do
		echo "ept-fresh-$levels_written faults on $levels_written"
		echo "ept-used-$levels_written faults on ${levels_written}u"
		echo "shadow-used-$levels_written faults off ${levels_written}u"
	done
}

# What two runs differ by is measured: so many faults. Beyond 32 tables minivisor forgets its shadow of L2's.
few() {
	[ "$1" = on ] && echo 100 || echo 2
}

faults() {
	few=$(few "$1")
	for count in "$few" $((few * 2)); do
		run_in "$count" --l2 fault --count "$count" --what "$2" --append "ept=$1" --set shadow_fields=fixed
	done
}

# all_exits RUN COLUMN: a sum over all exits to L0.
all_exits() {
	awk -F '\t' -v column="$2" '
	NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) wanted = i; next }
	{ sum += $wanted }
	END { print sum + 0 }' "$1/exits.tsv"
}

# per_fault POINT EPT COLUMN
per_fault() {
	few=$(few "$2")
	printf '%s %s\n' "$(all_exits "$points/$1/$few" "$3")" "$(all_exits "$points/$1/$((few * 2))" "$3")" |
		awk -v few="$few" '{ printf "%.2f\n", ($2 - $1) / few }'
}

# published METRIC LEVELS: PVM's formula, such as 2n+6, for so many levels.
published() {
	awk -F '\t' -v metric="$1" -v n="$2" '
	$3 == metric {
		split($5, part, "n+")
		print (part[1] == "" ? 1 : part[1]) * n + part[2]
	}' "$experiments/published.tsv"
}

# row POINT EPT PAGING MEMORY LEVELS NAME-IN-FORMULA
row() {
	exits=$(per_fault "$1" "$2" count)
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$3" "$4" "$5" "$exits" \
		"$(echo "$exits" | awk '{ printf "%.2f", 2 * $1 }')" "$(per_fault "$1" "$2" "l0_$figure_unit")" \
		"$(published "l2_fault_l0_exits_$6" "$5")" "$(published "l2_fault_world_switches_$6" "$5")"
}

# Each exit to L0 is a world switch, and so is the entry that ends it.
table() {
	printf 'paging\tmemory\tlevels_written\tl0_exits\tworld_switches\tl0_instructions\tpublished_pvm_l0_exits\t'
	printf 'published_pvm_world_switches\n'
	for levels_written in $levels; do
		row "ept-fresh-$levels_written" on EPT-on-EPT fresh "$levels_written" ept_on_ept
	done
	for levels_written in $levels; do
		row "ept-used-$levels_written" on EPT-on-EPT used "$levels_written" ept_on_ept
	done
	for levels_written in $levels; do
		row "shadow-used-$levels_written" off shadow-on-EPT used "$levels_written" spt_on_ept
	done
}

plot() {
	cat <<END
set title "Exits to L0 for one page fault of L2"
set xlabel "n, levels of L2's page tables that its handler writes"
set ylabel "exits to L0 per page fault"
set xtics 1
set xrange [0.8:4.2]
set yrange [0:16]
set key top left reverse Left noenhanced
table = '$results/faults.tsv'
of(paging, memory) = strcol("paging") eq paging && strcol("memory") eq memory ? 1 : NaN
plot table using "levels_written":(column("l0_exits") * of("shadow-on-EPT", "used")) \
	with linespoints lt 1 lw 2 pt 7 title "measured: shadow-on-EPT", \
	table using "levels_written":(column("l0_exits") * of("EPT-on-EPT", "fresh")) \
	with linespoints lt 2 lw 2 pt 5 title "measured: EPT-on-EPT, fresh memory", \
	table using "levels_written":(column("l0_exits") * of("EPT-on-EPT", "used")) \
	with linespoints lt 3 lw 2 pt 9 title "measured: EPT-on-EPT, memory that was used before", \
	table using "levels_written":(column("published_pvm_l0_exits") * of("shadow-on-EPT", "used")) \
	with linespoints lt 1 dt 2 lw 2 pt 6 title "published: PVM SOSP'23, shadow-on-EPT, 2n+4", \
	table using "levels_written":(column("published_pvm_l0_exits") * of("EPT-on-EPT", "fresh")) \
	with linespoints lt 2 dt 2 lw 2 pt 4 title "published: PVM SOSP'23, EPT-on-EPT, n+3"
END
}
