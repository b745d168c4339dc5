# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, scripts/exp.sh
# The tables of cost-model.

# Of which processors it is asked: those that differ, with VMCS shadowing as the processor has it. With it, some are asked
# without it as well.
WITHOUT_AS_WELL="l2_cpuid l2_ept_4k"
COMPARED="turtles-xeon-2.9ghz:off bloomfield:off haswell-e5-2630v3:on cascade-lake-8269cy:on"

kvm_counts=$experiments/cost-model/results/counts.tsv
osdi10=$experiments/turtles-osdi10/results

commit_of() {
	sed -n 's/^# commit: //p' "$1"
}

configuration="cycles are modelled, not measured; KVM is Debian's, mitigations=off; tables of turtles-osdi10 as of commit $(
	commit_of "$osdi10/figure10.tsv")"
[ -z "$quick" ] || configuration="$configuration; KVM's counts as of commit $(commit_of "$kvm_counts")"

# The quick form leaves out what peer-kvm holds to its own reference, to the instruction.
tables="counts prices calibration tests figure10 terms operations"
[ -z "$quick" ] || tables="prices calibration tests figure10 operations"

# counts_of POINT: rows of the table counts. An exit of L2 to L1 and the entry back are two switches between L1's world and
# L2's, which no trace of instructions tells.
counts_of() {
	{
		bench_counts "$1"
		bench_visit "$1" l2_cpuid_lean 1 vmresume
		bench_visit "$1" l2_cpuid_lean 2 reflect
	} | awk -F '\t' -v OFS='\t' -v l0="$1" '
	$1 ~ /^l0_/ { next }
	{
		switches = $1 ~ /[.]/ ? 1 : $1 == "l2_interrupt" ? 4 : $1 ~ /^l2_/ ? 2 : 0
		$1 = $1 OFS l0
		print $0, switches
	}'
}

# bench_visit POINT OPERATION VISIT NAME: one visit of L0's alone, of the step in which that is the median, as OPERATION.NAME.
bench_visit() {
	{
		bench_ticks "$1" | sed 's/^/name\t/'
		sed '1d; s/^/visit\t/' "$points/$1/run/visits.tsv"
	} | awk -F '\t' -v OFS='\t' -v operation="$2" -v visit="$3" -v name="$4" '
	$1 == "name" { windows++; if ($2 == operation) window = windows; next }
	$2 == window && $4 == visit {
		sub(/^visit\t[0-9]+\t[0-9]+\t[0-9]+/, operation "." name)
		print
	}' | sort -t "$tab" -n -k 2,2 | awk '{ line[NR] = $0 } END { print line[int((NR + 1) / 2)] }'
}

# instructions_of OPERATION L0 FILE ROW COLUMN: a row that has instructions only, of another experiment's table.
instructions_of() {
	awk -F '\t' -v OFS='\t' -v name="$1$tab$2" -v row="$4" -v column="$5" '
	/^#/ { next }
	!head { head = 1; for (i = 1; i <= NF; i++) if ($i == column) at = i; next }
	index($0 "\t", row "\t") == 1 { print name, $at, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }' "$3"
}

table_counts() {
	printf 'operation\tl0\tinstructions\texits\tentries\tvmread\tvmwrite\tvmptrld\tvmclear\tinvept\tinvvpid\tcpuid\trdmsr\t'
	printf 'wrmsr\trdtsc\tserializing\tlocked\trep\tworld_switch\n'
	if [ -z "$quick" ]; then
		counts_of kvm_shadowing
		counts_of kvm_no_shadowing
	else
		grep "^[a-z0-9_.]*${tab}kvm_" "$kvm_counts"
	fi
	for point_name in turtles_default turtles_no_vmcs_shadowing turtles_copy_all; do
		counts_of $point_name
	done
	instructions_of ept_violation linux_as_l1 "$osdi10/exits_kvm.tsv" "ept_violation${tab}nested" l1
	instructions_of cpuid minivisor_as_l1 "$osdi10/figure10.tsv" nested l1
}

# model WHAT [-v VARIABLE=VALUE]...: of all processors.
model() {
	model_what=$1
	shift
	for processor in $(processors); do
		awk -v what="$model_what" "$@" -f "$root/scripts/cost-model.awk" "$experiments/costs/$processor.tsv" \
			"$experiments/cost-model/points.tsv" "$state/counts.tsv" || return 1
	done
}

# What the profiles do not say: the calibrated price, and free ones that are not in the middle of their range.
table_prices() {
	printf 'processor\tprice\tmodelled_low\tmodelled\tmodelled_high\tkind\n'
	model prices | awk -F '\t' '$6 == "calibrated" || ($6 == "free" && ($3 + $5) / 2 - $4 > 0.01)'
}

table_calibration() {
	printf 'processor\tpoint\tpublished_cycles\tmodelled_cycles\tmodelled_low\tmodelled_high\terror_percent\tsource\n'
	model fit
}

table_tests() {
	printf 'processor\tpoint\tpublished_cycles\tmodelled_cycles\tmodelled_low\tmodelled_high\terror_percent\tverdict\tsource\n'
	model tests
}

# Figure 10 of the Turtles paper, its nested columns: the test points, which have KVM's counts, and what Turtles would take.
table_figure10() {
	printf 'configuration\tpublished_cycles\tkvm_modelled_low\tkvm_modelled\tkvm_modelled_high\tturtles_modelled_low\t'
	printf 'turtles_modelled\tturtles_modelled_high\t'
	printf 'published_change_percent\tkvm_modelled_change_percent\tturtles_modelled_change_percent\n'
	{
		model tests
		model asked
	} | awk -F '\t' -v OFS='\t' '
	function change(figure, first) { return sprintf("%.0f", 100 * (figure / first - 1)) }
	$1 != "turtles-xeon-2.9ghz" { next }
	sub(/^turtles_/, "", $2) { own[$2] = $4; own_range[$2] = $3 OFS $4 OFS $5; next }
	{
		sub(/cpuid_?/, "", $2)
		sub(/_$/, "", $2)
		order[++n] = $2
		published[$2] = $3
		kvm[$2] = $4
		kvm_range[$2] = $5 OFS $4 OFS $6
	}
	END {
		for (i = 1; i <= n; i++) {
			c = order[i]
			print c, published[c], kvm_range[c], own_range[c], change(published[c], published["nested"]),
				change(kvm[c], kvm["nested"]), change(own[c], own["nested"])
		}
	}'
}

# What a CPUID of L2 is made of. The processors of 2008 have no VMCS shadowing.
table_terms() {
	printf 'processor\tl0\toperation\tmodelled\tmodelled_transitions\tmodelled_instructions\tmodelled_vmread\tmodelled_vmwrite\t'
	printf 'modelled_vmptrld_vmclear\tmodelled_world_switches\tmodelled_other\n'
	model terms -v operation=l2_cpuid | awk -F '\t' -v OFS='\t' '
	$1 !~ /^(turtles-xeon-2.9ghz|cascade-lake-8269cy)$/ { next }
	$1 ~ /^turtles/ && $2 ~ /^(kvm_shadowing|turtles_default):/ { next }
	{
		row = $1 OFS substr($2, 1, index($2, ":") - 1) OFS substr($2, index($2, ":") + 1)
		if (!(row in sum)) order[++n] = row
		sum[row] += $5
		term = $3 == "vmclear" ? "vmptrld" : $3
		part[row, term] += $5
		if (term !~ /^(exit_and_entry|instruction|vmread|vmwrite|vmptrld|world_switch)$/) other[row] += $5
	}
	END {
		for (i = 1; i <= n; i++) {
			row = order[i]
			print row, sum[row], part[row, "exit_and_entry"] + 0, part[row, "instruction"] + 0, part[row, "vmread"] + 0,
				part[row, "vmwrite"] + 0, part[row, "vmptrld"] + 0, part[row, "world_switch"] + 0, other[row] + 0
		}
	}'
}

# compare SHADOWING PEER OWN: rows of the table operations.
compare() {
	model compare -v peer="$2" -v own="$3" | awk -F '\t' -v OFS='\t' -v asked="$OPERATIONS" -v also="$WITHOUT_AS_WELL" \
		-v processors="$COMPARED" -v shadowing="$1" '
	BEGIN {
		n = split(asked, name, " ")
		for (i = 1; i <= n; i++) wanted[name[i]] = 1
		n = split(also, name, " ")
		for (i = 1; i <= n; i++) without[name[i]] = 1
		n = split(processors, name, " ")
		for (i = 1; i <= n; i++) {
			split(name[i], part, ":")
			has[part[1]] = part[2]
		}
	}
	$1 in has && $2 in wanted && (shadowing == has[$1] || (shadowing == "off" && $2 in without)) {
		$2 = $2 OFS shadowing
		print
	}'
}

table_operations() {
	printf 'processor\toperation\tvmcs_shadowing\tkvm_modelled_low\tkvm_modelled\tkvm_modelled_high\tturtles_modelled_low\t'
	printf 'turtles_modelled\tturtles_modelled_high\t'
	printf 'modelled_ratio_low\tmodelled_ratio\tmodelled_ratio_high\n'
	{
		compare on kvm_shadowing turtles_default
		compare off kvm_no_shadowing turtles_no_vmcs_shadowing
	} | sort -s -t "$tab" -k 1,1
}

table() {
	table_counts > "$state/counts.tsv"
	"table_$1"
}

plots="tests figure10 terms operations"
[ -z "$quick" ] || plots="tests figure10 operations"

plot() {
	"plot_$1"
}

# In the order of the table.
plot_tests() {
	cat <<END
table = '$results/tests.tsv'
set title "Costs that the model has not seen: published and modelled"
set ylabel "cycles, logarithmic"
set logscale y
set yrange [500:100000]
set xtics rotate by 40 right noenhanced font ',8'
set bmargin 15
set rmargin 3
set key outside top center horizontal
set xrange [-1:*]
set offsets 0, 0.5, 0, 0
plot table using 0:'modelled_cycles':'modelled_low':'modelled_high':xtic(strcol(1).': '.strcol(2)) \
	with yerrorbars pt 7 ps 0.7 lw 2 title 'modelled, with its range', \
	'' using 0:'published_cycles' with points pt 2 ps 1.4 lw 2 title 'published'
END
}

# Haswell, with VMCS shadowing.
plot_operations() {
	awk -F '\t' '/^processor/ || ($1 == "haswell-e5-2630v3" && $3 == "on")' "$results/operations.tsv" > "$state/operations.plotted"
	cat <<END
table = '$state/operations.plotted'
set title "One operation, modelled for the Xeon E5-2630v3 (Haswell) with VMCS shadowing"
set ylabel "cycles, modelled, logarithmic"
set logscale y
set yrange [500:100000]
set style data histograms
set style histogram errorbars gap 1 lw 1
set style fill solid 0.8 border -1
set boxwidth 0.9
set xtics rotate by 25 right noenhanced
set key top left
plot table using 'kvm_modelled':'kvm_modelled_low':'kvm_modelled_high':xtic(2) title 'KVM as L0', \
	'' using 'turtles_modelled':'turtles_modelled_low':'turtles_modelled_high' title 'Turtles as L0'
END
}

plot_figure10() {
	cat <<END
table = '$results/figure10.tsv'
set title "CPUID of L2 on the Xeon of the Turtles paper, as in its Figure 10"
set ylabel "cycles"
set style data histograms
set style histogram errorbars gap 1 lw 1
set style fill solid 0.8 border -1
set boxwidth 0.9
set yrange [0:*]
set xtics noenhanced
set key top right
plot table using 'published_cycles':'published_cycles':'published_cycles':xtic(1) title 'published: kvm-87 as L0 and L1', \
	'' using 'kvm_modelled':'kvm_modelled_low':'kvm_modelled_high' title 'modelled: Linux 6.1, KVM as L0 and L1', \
	'' using 'turtles_modelled':'turtles_modelled_low':'turtles_modelled_high' title 'modelled: Turtles as L0, minivisor as L1'
END
}

plot_terms() {
	awk -F '\t' '/^processor/ || $1 == "cascade-lake-8269cy"' "$results/terms.tsv" > "$state/terms.plotted"
	cat <<END
table = '$state/terms.plotted'
set title "What a CPUID of L2 is made of on the Xeon 8269CY (Cascade Lake), without L1's own instructions"
set ylabel "cycles, modelled"
set style data histograms
set style histogram rowstacked
set style fill solid 0.8 border -1
set boxwidth 0.6
set yrange [0:*]
set xtics rotate by 25 right noenhanced
set key outside right
plot table using 'modelled_transitions':xtic(2) title 'transitions', '' using 'modelled_instructions' title 'instructions', \
	'' using 'modelled_vmread' title 'VMREAD', '' using 'modelled_vmwrite' title 'VMWRITE', \
	'' using 'modelled_vmptrld_vmclear' title 'VMPTRLD, VMCLEAR', '' using 'modelled_world_switches' title 'world switches', \
	'' using 'modelled_other' title 'other'
END
}
