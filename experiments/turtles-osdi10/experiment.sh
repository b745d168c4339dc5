# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, scripts/exp.sh
configuration="L1: minivisor; figures of ours are instructions and counts, published ones have their unit beside them"
emulator="its figures are those of the emulator's own log of VM exits"
tables="figure5 figure6 figure7_8 figure9 figure10 exits table2 table3"
# TURTLES_LINUX=no leaves KVM out, which takes most of the time.
kvm=yes
[ -z "$quick" ] && [ "${TURTLES_LINUX-}" != no ] || kvm=''
[ -z "$kvm" ] || tables="$tables kvm figure9_kvm exits_kvm"
here=$experiments/turtles-osdi10
operations=cpuid,io,msr,exception,vmcall,memory,cr3,window,wake
packets=send_emulated,send_ring,send_direct
operation_count=200 build_count=40 server_count=4800 spawn_count=100 packet_count=512
NESTED="nested nested_optimised nested_drw nested_shadowing"
LOADED=$NESTED
WORKLOADS="build server"
PAGING_WORKLOADS="build spawn"
if [ -n "$quick" ]; then
	operation_count=24 build_count=8 server_count=960 spawn_count=16 packet_count=128
	LOADED="nested nested_drw nested_shadowing"
	PAGING_WORKLOADS=spawn
fi

# configurations: name, and how the minivisor runs, "L0's switches; words for the minivisor"; without L0 "bare" is the first.
configurations() {
	cat <<'END'
guest bare; manner=kvm87
nested vmcs_shadowing=off dirty_tracking=off lazy_guest_state=off; manner=kvm87
nested_optimised vmcs_shadowing=off; manner=kvm87
nested_drw vmcs_shadowing=off; manner=kvm87 drw=on
nested_shadowing shadow_fields=fixed; manner=kvm87
guest_own bare; manner=own
nested_own shadow_fields=fixed; manner=own
guest_shadow_paging bare; manner=kvm87 ept=off
nested_shadow_paging vmcs_shadowing=off dirty_tracking=off lazy_guest_state=off; manner=kvm87 ept=off
nested_drw_shadow_paging vmcs_shadowing=off; manner=kvm87 drw=on ept=off
END
}

# minivisor CONFIGURATION PAYLOADS COUNT WORDS [each]: a run, of which exits.tsv is kept.
minivisor() {
	settings=$(configurations | sed -n "s/^$1 //p")
	payloads=$2 count=$3 words="quantum=1000000000${4:+ $4}${settings#*;}" each=${5-} without=''
	set --
	for switch in ${settings%%;*}; do
		case $switch in
		bare)
			without=yes
			set -- "$@" --bare
			;;
		*) set -- "$@" --set "$switch" ;;
		esac
	done
	TURTLES_WITNESS=transitions run --l2 "$payloads" --count "$count" --append "$words" --timeout 300 "$@"
	awk -F '\t' -v bare="$without" -v each="$each" -f "$here/exits.awk" "$point/run/witness.tsv" | sort > "$point/exits.tsv"
	rm "$point/run/witness.tsv"
}

run_operations() {
	minivisor "$1" "$operations" "$operation_count" "hlt=exit cr3=exit"
}

workload_count() {
	case $1 in
	build) echo "$build_count" ;;
	server) echo "$server_count" ;;
	spawn) echo "$spawn_count" ;;
	esac
}

run_workload() {
	minivisor "$1" "$2" "$(workload_count "$2")" ''
}

run_packets() {
	minivisor "$1" "$packets" "$packet_count" '' each
}

run_native() {
	native "$1" "$(workload_count "$1")"
}

# native PAYLOAD COUNT: without any hypervisor.
native() {
	run --bare --l1 "build/guests/$1.elf" --append "count=$2" --timeout 300
	sed -n "s/^$1: \([0-9]*\) ticks.*/window\t1\t\1\t0\t0\t0\t0/p" "$point/run/console.txt" > "$point/exits.tsv"
	[ -s "$point/exits.tsv" ]
}

points() {
	[ -z "$kvm" ] || kvm_points
	for c in guest $NESTED nested_own; do
		echo "operations_$c run_operations $c"
	done
	for w in $WORKLOADS; do
		for c in guest $LOADED guest_own nested_own; do
			echo "${w}_$c run_workload $c $w"
		done
		echo "${w}_host run_native $w"
	done
	for c in guest $LOADED; do
		echo "packets_$c run_packets $c"
	done
	echo "packets_host native send_direct $packet_count"
	shadow_pairs | while read -r w c shadow; do
		[ "$w" = build ] || echo "${w}_$c run_workload $c $w"
		echo "${w}_$shadow run_workload $shadow $w"
	done
}

# shadow_pairs: workload, a configuration with EPT, and the same with shadow paging.
shadow_pairs() {
	for w in $PAGING_WORKLOADS; do
		echo "$w guest guest_shadow_paging"
		echo "$w nested nested_shadow_paging"
		echo "$w nested_drw nested_drw_shadow_paging"
	done
}

# exit_of POINT REASON: the line of that kind of exit, of L1's if L0 has such as well; empty if there was none.
exit_of() {
	awk -F '\t' -v reason="$2" '$1 == "exit" && $2 == reason && (line == "" || $3 == "l1") { line = $0 } END { print line }' \
		"$points/$1/exits.tsv"
}

# window_of POINT [N]: instructions of the guest, L1, L0; exits of the guest, of L1.
window_of() {
	awk -F '\t' -v OFS='\t' -v n="${2-1}" '$1 == "window" && $2 == n { print $3, $4, $5, $6, $7 }' "$points/$1/exits.tsv"
}

# published ITEM CONFIGURATION METRIC: value and unit, or two dashes.
published() {
	awk -F '\t' -v OFS='\t' -v item="$1" -v configuration="$2" -v metric="$3" '
	$1 == item && $2 == configuration && $3 == metric { value = $4; unit = $5 }
	END { print value == "" ? "-" : value, unit == "" ? "-" : unit }' "$here/published.tsv"
}

# The workload's share of each level. Without nesting, the hypervisor is L0 and its guest L1.
table_figure5() {
	printf 'workload\tconfiguration\tl0_percent\tl1_percent\tl2_percent\texits_per_million\t'
	printf 'published_l0\tpublished_unit\n'
	for w in $WORKLOADS; do
		for c in guest $LOADED nested_own; do
			window_of "${w}_$c" | awk -F '\t' -v OFS='\t' -v ORS='\t' -v w="$w" -v c="$c" '
			function share(part) { return sprintf("%.2f", 100 * part / ($1 + $2 + $3)) }
			{ rate = sprintf("%.1f", 1e6 * ($4 + $5) / $1) }
			c == "guest" { print w, c, share($3), share($1), "-", rate; next }
			{ print w, c, share($3), share($2), share($1), rate }'
			item=kernbench
			[ "$w" = build ] || item=specjbb
			published "figure5.$item" "$c" l0_cycle_share | sed 's/percent/percent_of_cycles/'
		done
	done
}

# Until the guest goes on: of all hypervisors together.
table_figure6() {
	printf 'exit\tguest\tnested\tnested_drw\tnested_shadowing\tnested_own\tfactor_nested\tfactor_drw\t'
	printf 'published_guest\tpublished_nested\tpublished_drw\tpublished_unit\n'
	for reason in external_interrupt io_instruction cpuid rdmsr wrmsr control_register_access exception_or_nmi hlt vmcall \
		ept_violation; do
		printf '%s' "$reason"
		for c in guest nested nested_drw nested_shadowing nested_own; do
			exit_of "operations_$c" "$reason" | awk -F '\t' '{ printf "\t%d", $6 + $7 }'
		done | awk -F '\t' '{ printf "%s\t%.1f\t%.1f", $0, $3 / $2, $4 / $2 }'
		item=figure6.$(echo "$reason" | sed 's/io_instruction/pio/')
		unit=-
		for c in guest nested nested_drw; do
			printf '\t%s' "$(published "$item" "$c" cost | cut -f 1)"
			[ "$c" != guest ] || unit=$(published "$item" "$c" cost | cut -f 2)
		done
		printf '\t%s\n' "$unit"
	done
}

table_figure10() {
	printf 'configuration\tl1\tl0\tinstructions\tfactor_to_guest\tchange_to_nested_percent\tpublished\tpublished_unit\n'
	# Every instruction is one tick of the emulator's clock, CPUID too.
	printf 'native\t0\t0\t1\t-\t-\t%s\n' "$(published figure10.cpuid native cost)"
	nested=$(exit_of operations_nested cpuid | awk -F '\t' '{ print $6 + $7 + 1 }')
	guest=$(exit_of operations_guest cpuid | awk -F '\t' '{ print $6 + $7 + 1 }')
	for c in guest $NESTED nested_own; do
		exit_of "operations_$c" cpuid | awk -F '\t' -v c="$c" -v guest="$guest" -v nested="$nested" '{
			all = $6 + $7 + 1
			printf "%s\t%d\t%d\t%d\t%.1f\t%s\t", c, $6, $7, all, all / guest,
				c ~ /^nested_/ ? sprintf("%.1f", 100 * (all / nested - 1)) : "-"
		}'
		case $c in
		nested_optimised) published figure10.cpuid nested_optimised_vmcs_copy cost_change ;;
		nested_drw) published figure10.cpuid nested_drw cost_change | sed 's/percent/percent_change_to_nested/' ;;
		*) published figure10.cpuid "$c" cost ;;
		esac | sed 's/percent$/percent_change_to_nested/'
	done
}

# Exits of one operation of L2: its own, and those of L1 until L2 goes on.
table_exits() {
	printf 'operation\tconfiguration\texits\tof_l1\tvmread\tvmwrite\tvmresume\tother\tpublished\tpublished_unit\n'
	for operation in cpuid io_instruction; do
		for c in $NESTED nested_own; do
			exit_of "operations_$c" "$operation" | awk -F '\t' -v OFS='\t' -v ORS='\t' -v row="$operation$tab$c" '
			{ print row, $8 + 1, $8, $9, $10, $11, $12 }'
			case $c in
			nested) of=nested ;;
			nested_drw) of=nested_without_vmread_vmwrite ;;
			*) of=none ;;
			esac
			case $operation in
			cpuid) published multiplication.cpuid $of exits | sed 's/count$/exits/' ;;
			*) published multiplication.pio $of extra_exits | sed 's/count$/of_l1/' ;;
			esac
		done
	done
}

# all_of POINT: instructions, of all levels.
all_of() {
	window_of "$1" | awk -F '\t' '{ print $1 + $2 + $3 }'
}

percent_above() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", 100 * (a / b - 1) }'
}

# workload_rows TABLE BASE ITEM-SUFFIX CONFIGURATION...: the overhead over the host and over the guest called BASE.
workload_rows() {
	rows_table=$1 rows_base=$2
	shift 2
	for w in $WORKLOADS; do
		item=kernbench metric=overhead
		[ "$w" = build ] || item=specjbb metric=degradation
		host=$(all_of "${w}_host")
		guest=$(all_of "${w}_$rows_base")
		for c in "$@"; do
			here_now=$(all_of "${w}_$c")
			printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$w" "$c" "$here_now" "$(percent_above "$here_now" "$host")" \
				"$(percent_above "$here_now" "$guest")" \
				"$(published "$rows_table$item" "$(published_name "$c")" "${metric}_vs_host" | cut -f 1)" \
				"$(published "$rows_table$item" "$(published_name "$c")" "${metric}_vs_guest" | cut -f 1)"
		done
	done
}

# The paper's second L1, VMware Server, stands beside minivisor in its own manner.
published_name() {
	echo "$1" | sed 's/_own$//'
}

workload_head() {
	printf 'workload\tconfiguration\tinstructions\tover_host_percent\tover_guest_percent\tpublished_over_host_percent\t'
	printf 'published_over_guest_percent\n'
}

table_table2() {
	workload_head
	# shellcheck disable=SC2086 # words
	workload_rows table2. guest host guest $LOADED
}

table_table3() {
	workload_head
	workload_rows table3.vmware_ guest_own guest_own nested_own
}

# Shadow paging of L1 against EPT, the rest being the same.
table_figure9() {
	printf 'workload\tconfiguration\tept\tshadow_paging\tratio\texits_ept\texits_shadow_paging\t'
	printf 'published_ratio_at_least\tpublished_unit\n'
	shadow_pairs | while read -r w c shadow; do
		{
			window_of "${w}_$c"
			window_of "${w}_$shadow"
		} | awk -F '\t' -v OFS='\t' -v ORS='\t' -v row="$w$tab$c" '
		{ all[NR] = $1 + $2 + $3; exits[NR] = $4 + $5 }
		END { print row, all[1], all[2], sprintf("%.2f", all[2] / all[1]), exits[1], exits[2] }'
		case $w.$c in
		build.nested) published figure9.kernbench shadow_on_ept_over_multi_dimensional ratio_at_least ;;
		*) printf -- '-\t-\n' ;;
		esac
	done
}

# For each packet. L1 has the machine's device to itself in all of them.
table_figure7_8() {
	printf 'device\tconfiguration\tl2\tl1\tl0\tinstructions\tfactor_to_host\texits_of_l2\texits_of_l1\t'
	printf 'published_figure7_cpu_percent\tpublished_figure8_mbit_s\n'
	packet_row direct host packets_host 1
	for c in guest $LOADED; do
		packet_row emulated "$c" "packets_$c" 1
		packet_row ring "$c" "packets_$c" 2
		packet_row direct "$c" "packets_$c" 3
	done
}

# packet_row DEVICE CONFIGURATION POINT WINDOW
packet_row() {
	host=$(window_of packets_host | cut -f 1)
	window_of "$3" "$4" | awk -F '\t' -v row="$1$tab$2" -v n="$packet_count" -v host="$host" '
	{
		all = $1 + $2 + $3
		printf "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\t", row, $1 / n, $2 / n, $3 / n, all / n, all / host
		printf "%.3f\t%.3f\t", $4 / n, $5 / n
	}'
	case $1.$2 in
	direct.host) published_packets native cpu none ;;
	direct.guest) published_packets none - guest_l0 ;;
	direct.nested) published_packets nested_direct_direct cpu_at_line_rate nested_direct_direct ;;
	ring.nested) published_packets nested_direct_virtio cpu_at_line_rate nested_direct_virtio ;;
	*) published_packets none - none ;;
	esac
}

# published_packets CONFIGURATION METRIC CONFIGURATION: of figure 7 and of figure 8.
published_packets() {
	printf '%s\t%s\n' "$(published figure7.netperf_tcp_stream "$1" "$2" | cut -f 1)" \
		"$(published figure8.polling_64B "$3" throughput | cut -f 1)"
}

# What KVM as L1 runs, all as often: there the payloads tell the ticks that they took, as on the bare CPU. It has no
# timer for them, so there are no ticks of theirs.
KVM_WORKLOADS="build server spawn"
KVM_COUNT=400

# run_kvm ARGUMENT...
run_kvm() {
	run --l1 linux --l2 build,server,spawn,cpuid --count $KVM_COUNT --timeout 3000 "$@"
	for w in $KVM_WORKLOADS; do
		tr -d '\r' < "$point/run/console.txt" | sed -n "s/^\[$w\] $w: \([0-9]*\) ticks.*/$w\t\1/p"
	done > "$point/ticks.tsv"
	[ "$(wc -l < "$point/ticks.tsv")" -eq 3 ]
}

kvm_points() {
	echo "kvm_guest run_kvm --bare"
	echo "kvm_nested_trapping run_kvm --set vmcs_shadowing=off"
	echo "kvm_nested run_kvm --set shadow_fields=fixed"
	echo "kvm_guest_shadow_paging run_kvm --bare --append kvm_intel.ept=0"
	echo "kvm_nested_trapping_shadow_paging run_kvm --set vmcs_shadowing=off --append kvm_intel.ept=0"
	for w in $KVM_WORKLOADS; do
		echo "kvm_${w}_host native $w $KVM_COUNT"
	done
}

# ticks_of CONFIGURATION WORKLOAD
ticks_of() {
	awk -F '\t' -v w="$2" '$1 == w { print $2 }' "$points/kvm_$1/ticks.tsv"
}

table_kvm() {
	printf 'workload\tconfiguration\tinstructions\tover_host_percent\tover_guest_percent\tpublished_over_host_percent\t'
	printf 'published_over_guest_percent\n'
	for w in $KVM_WORKLOADS; do
		host=$(window_of "kvm_${w}_host" | cut -f 1)
		guest=$(ticks_of guest "$w")
		printf '%s\thost\t%s\t0.0\t-\t-\t-\n' "$w" "$host"
		for c in guest nested_trapping nested; do
			now=$(ticks_of "$c" "$w")
			printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$w" "$c" "$now" "$(percent_above "$now" "$host")" \
				"$(percent_above "$now" "$guest")" "$(published_overheads "$w.$c")"
		done
	done
}

# published_overheads WORKLOAD.CONFIGURATION: of KVM as L1, over host and guest.
published_overheads() {
	item=none metric=overhead
	case $1 in
	build.*) item=table2.kernbench ;;
	server.*) item=table2.specjbb metric=degradation ;;
	esac
	case $1 in
	*.guest) of=guest ;;
	*.nested_trapping) of=nested ;;
	*) of=none ;;
	esac
	printf '%s\t%s\n' "$(published "$item" $of ${metric}_vs_host | cut -f 1)" \
		"$(published "$item" $of ${metric}_vs_guest | cut -f 1)"
}

table_figure9_kvm() {
	printf 'workload\tconfiguration\tept\tshadow_paging\tratio\tpublished_ratio_at_least\tpublished_unit\n'
	for w in build spawn; do
		for c in guest nested_trapping; do
			ept=$(ticks_of "$c" "$w")
			shadow=$(ticks_of "${c}_shadow_paging" "$w")
			printf '%s\t%s\t%s\t%s\t%s\t' "$w" "$c" "$ept" "$shadow" \
				"$(awk -v a="$shadow" -v b="$ept" 'BEGIN { printf "%.2f", a / b }')"
			case $w.$c in
			build.nested_trapping) published figure9.kernbench shadow_on_ept_over_multi_dimensional ratio_at_least ;;
			*) printf -- '-\t-\n' ;;
			esac
		done
	done
}

# Averages, from the table that L0 keeps.
table_exits_kvm() {
	printf 'operation\tconfiguration\texits\tof_l1\tvmread\tvmwrite\tvmresume\tl1\tl0\n'
	for c in nested_trapping nested; do
		for reason in cpuid ept_violation; do
			awk -F '\t' -v reason="$reason" -v c="$c" '
			function each(name) { return match($8, name ":[0-9]+") ? substr($8, RSTART + length(name) + 1, RLENGTH) / $4 : 0 }
			$1 == "l2" && $2 == reason && $3 == "l1" {
				printf "%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\t%.0f\n", reason, c, 1 + $7 / $4, $7 / $4,
					each("vmread"), each("vmwrite"), each("vmresume"), $6 / $4, $5 / $4
			}' "$points/kvm_$c/run/exits.tsv"
		done
	done
}

table() {
	"table_$1"
}

plots="figure5 figure6 figure7_8 figure9 figure10 table2_3"

plot() {
	cat <<END
table = '$results/$1.tsv'
set bmargin 10.5
set style data histograms
set style fill solid 0.8 border -1
set boxwidth 0.9
set xtics rotate by 30 right font ',10' noenhanced
set key top right
set yrange [0:*]
END
	"plot_$1"
}

plot_figure5() {
	cat <<'END'
set title "Figure 5: share of each level in all instructions of a workload (guest: L0 is the one hypervisor)"
set ylabel "percent of instructions"
set style histogram rowstacked
set lmargin 12
set key outside top center horizontal
set yrange [0:100]
plot table using 'l0_percent':xtic(strcol(1).', '.strcol(2)) title 'L0', '' using 'l1_percent' title 'L1', \
	'' using 'l2_percent' title 'L2', '' using 0:'published_l0' with points pt 5 ps 1.2 lc rgb 'black' \
	title "published: L0 (OSDI '10, kernbench)"
END
}

plot_figure6() {
	cat <<'END'
set title "Figure 6: an exit of the guest: instructions of all hypervisors until it goes on"
set ylabel "instructions, logarithmic"
set logscale y
set yrange [100:*]
set key outside top center horizontal noenhanced
plot for [name in "guest nested nested_drw nested_shadowing nested_own"] table using name:xtic(1) title name noenhanced
END
}

plot_figure7_8() {
	cat <<'END'
set title "Figures 7 and 8, Table 1: a packet of 1500 bytes: instructions of all levels, by device and configuration"
set ylabel "instructions, logarithmic"
set logscale y
set yrange [100:50000]
set xtics rotate by 38 right font ',10'
set bmargin 11
set lmargin 14
unset key
plot table using 'instructions':xtic(strcol(1).', '.strcol(2)) title 'measured', \
	'' using 0:'instructions':(sprintf('%.0f', column('instructions'))) with labels offset 0,0.7 font ',10' notitle
END
}

plot_figure9() {
	cat <<'END'
set title "Figure 9: instructions of a workload with shadow paging in L1, by those with EPT"
set ylabel "factor, logarithmic"
set logscale y
set yrange [1:200]
plot table using 'ratio':xtic(strcol(1).', '.strcol(2)) title 'measured' noenhanced, \
	'' using 0:'ratio':(sprintf('%.1f', column('ratio'))) with labels offset 0,0.7 notitle, \
	3 with lines dt 2 lw 2 title "published, OSDI '10: 3 times at least, kernbench, nested"
END
}

plot_figure10() {
	cat <<'END'
set title "Figure 10: a CPUID of the guest: instructions until its next one"
set ylabel "instructions"
set style histogram rowstacked
plot table using 'l0':xtic(1) title 'of L0 (guest: of the one hypervisor)', '' using 'l1' title 'of L1', \
	'' using 0:'instructions':(sprintf('%.0f', column('instructions'))) with labels offset 0,0.7 notitle
END
}

# Both tables in one: what nesting adds to a workload that has a hypervisor already.
plot_table2_3() {
	echo "\$rows << EOD"
	awk -F '\t' -v OFS='\t' '
	BEGIN { print "row", "measured", "published" }
	/^#/ || $1 == "workload" || $2 !~ /^nested/ { next }
	{ print $1 ", " $2, $5, $7 }' "$results/table2.tsv" "$results/table3.tsv"
	echo EOD
	cat <<'END'
set title "Tables 2 and 3: what nesting adds to a workload, over the same with one hypervisor"
set ylabel "percent, logarithmic"
set logscale y
set yrange [1:500]
set key top right
set lmargin 12
plot $rows using 2:xtic(1) title 'measured, instructions (stand-ins build and server)' noenhanced, \
	'' using 3 title "published, time (OSDI '10, kernbench and SPECjbb)", \
	'' using ($0-0.17):2:(sprintf('%.1f', $2)) with labels offset -0.6,0.6 font ',9' notitle, \
	'' using ($0+0.17):3:(sprintf('%.1f', $3)) with labels offset 0.6,0.6 font ',9' notitle
END
}
