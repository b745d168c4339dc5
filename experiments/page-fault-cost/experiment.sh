# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, scripts/exp.sh
configuration="payload fault (ept=on: EPT-on-EPT, ept=off: shadow-on-EPT), shadow_fields=fixed; instructions of L0"
tables="faults"
plots="exits"
levels="1 2 3 4"
[ -z "$quick" ] || levels="1 4"
# Linux boots twice for each point with KVM as L1; TURTLES_LINUX=no leaves them out.
kvm_levels="1 4"
[ -z "$quick" ] && [ "${TURTLES_LINUX-}" != no ] || kvm_levels=''

points() {
	for levels_written in $levels; do
		echo "ept-fresh-$levels_written faults on $levels_written"
		echo "ept-used-$levels_written faults on ${levels_written}u"
		echo "shadow-used-$levels_written faults off ${levels_written}u"
	done
	for levels_written in $kvm_levels; do
		echo "kvm-ept-fresh-$levels_written faults_of_kvm $levels_written transparent_hugepage=never"
		echo "kvm-shadow-used-$levels_written faults_of_kvm ${levels_written}u kvm_intel.ept=0"
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

# Linux's own timer exits now and then: the more faults, the less it counts.
KVM_FEW=100

faults_of_kvm() {
	for count in $KVM_FEW $((KVM_FEW * 2)); do
		run_in "$count" --l1 linux --l2 fault --count "$count" --what "$1" --append "$2" --set shadow_fields=fixed \
			--timeout 1800
	done
}

# of_l2 RUN exits|spent: for all exits of L2, exits to L0, those of L1 that they cause included, or what L0 spent.
of_l2() {
	awk -F '\t' -v what="$2" '
	$1 == "l2" { sum += what == "exits" ? $4 + $7 : $5 }
	END { print sum + 0 }' "$1/exits.tsv"
}

# per_fault POINT FEW WHAT: of one more fault.
per_fault() {
	few=$2
	printf '%s %s\n' "$(of_l2 "$points/$1/$few" "$3")" "$(of_l2 "$points/$1/$((few * 2))" "$3")" |
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

# row L1 POINT FEW PAGING MEMORY LEVELS NAME-IN-FORMULA
row() {
	row_l1=$1
	shift
	exits=$(per_fault "$1" "$2" exits)
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$row_l1" "$3" "$4" "$5" "$exits" \
		"$(echo "$exits" | awk '{ printf "%.2f", 2 * $1 }')" "$(per_fault "$1" "$2" spent)" \
		"$(published "l2_fault_l0_exits_$6" "$5")" "$(published "l2_fault_world_switches_$6" "$5")"
}

# Each exit to L0 is a world switch, and so is the entry that ends it.
table() {
	printf 'l1\tpaging\tmemory\tlevels_written\tl0_exits\tworld_switches\tl0_instructions\tpublished_pvm_l0_exits\t'
	printf 'published_pvm_world_switches\n'
	for levels_written in $levels; do
		row minivisor "ept-fresh-$levels_written" 100 EPT-on-EPT fresh "$levels_written" ept_on_ept
	done
	for levels_written in $levels; do
		row minivisor "ept-used-$levels_written" 100 EPT-on-EPT used "$levels_written" ept_on_ept
	done
	for levels_written in $levels; do
		row minivisor "shadow-used-$levels_written" 2 shadow-on-EPT used "$levels_written" spt_on_ept
	done
	for levels_written in $kvm_levels; do
		row kvm "kvm-ept-fresh-$levels_written" $KVM_FEW EPT-on-EPT fresh "$levels_written" ept_on_ept
	done
	for levels_written in $kvm_levels; do
		row kvm "kvm-shadow-used-$levels_written" $KVM_FEW shadow-on-EPT used "$levels_written" spt_on_ept
	done
}

kvm_curves() {
	printf ', table using "levels_written":(column("l0_exits") * of("kvm", "shadow-on-EPT", "used"))'
	printf ' with linespoints lt 4 lw 2 pt 7 title "measured, KVM: shadow-on-EPT"'
	printf ', table using "levels_written":(column("l0_exits") * of("kvm", "EPT-on-EPT", "fresh"))'
	printf ' with linespoints lt 5 lw 2 pt 5 title "measured, KVM: EPT-on-EPT, fresh memory"'
}

plot() {
	more=''
	[ -z "$kvm_levels" ] || more=$(kvm_curves)
	cat <<END
set title "Exits to L0 for one page fault of L2"
set xlabel "n, levels of L2's page tables that its handler writes"
set ylabel "exits to L0 per page fault"
set xtics 1
set xrange [0.8:4.2]
set yrange [0:20]
set key top left reverse Left noenhanced
table = '$results/faults.tsv'
of(l1, paging, memory) = strcol("l1") eq l1 && strcol("paging") eq paging && strcol("memory") eq memory ? 1 : NaN
plot table using "levels_written":(column("l0_exits") * of("minivisor", "shadow-on-EPT", "used")) \
	with linespoints lt 1 lw 2 pt 7 title "measured, minivisor: shadow-on-EPT", \
	table using "levels_written":(column("l0_exits") * of("minivisor", "EPT-on-EPT", "fresh")) \
	with linespoints lt 2 lw 2 pt 5 title "measured, minivisor: EPT-on-EPT, fresh memory", \
	table using "levels_written":(column("l0_exits") * of("minivisor", "EPT-on-EPT", "used")) \
	with linespoints lt 3 lw 2 pt 9 title "measured, minivisor: EPT-on-EPT, memory that was used before", \
	table using "levels_written":(column("published_pvm_l0_exits") * of("minivisor", "shadow-on-EPT", "used")) \
	with linespoints lt 1 dt 2 lw 2 pt 6 title "published: PVM SOSP'23, shadow-on-EPT, 2n+4", \
	table using "levels_written":(column("published_pvm_l0_exits") * of("minivisor", "EPT-on-EPT", "fresh")) \
	with linespoints lt 2 dt 2 lw 2 pt 4 title "published: PVM SOSP'23, EPT-on-EPT, n+3"$more
END
}
