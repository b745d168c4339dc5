# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, scripts/exp.sh
configuration="minivisor: payloads cpuid and memory; kvm: the same under Debian's Linux and KVM; instructions of L0"
tables=costs
plots="alone added"
CPUIDS=2000
PAGES=400
KVM_COUNT=1000
# ABLATION_L1=minivisor leaves KVM out, which takes most of the time.
l1s=${ABLATION_L1:-minivisor kvm}
[ -z "$quick" ] || l1s=minivisor

# What is added first to last, as the field found it; what is not named here comes last, in the order of l0/options.def.
ORDER="ept02_cache ept02_slots ept01_large_pages ept02_large_pages ept02_ahead ept12_path vmcs02_slots dirty_tracking
	lazy_guest_state bitmap_cache walk_cache vpid02 selective_invalidation vmcs_shadowing shadow_fields"
# With one guest on one EPTP they change nothing. KVM has one here.
OF_SEVERAL_GUESTS="ept02_slots vmcs02_slots"
QUICK="vmcs_shadowing shadow_fields"

# mechanisms: each switch and what takes it away, in the order in which they are added.
mechanisms() {
	slow_settings | awk -F = -v order="$ORDER" '
	BEGIN {
		last = split(order, known, " ")
		for (i = 1; i <= last; i++) place[known[i]] = i
	}
	!($1 in seen) { seen[$1] = 1; line[$1 in place ? place[$1] : ++last] = $1 " " $0 }
	END { for (i = 1; i <= last; i++) if (i in line) print line[i] }'
}

# set_arguments SWITCH=VALUE...: as turtles run takes them.
set_arguments() {
	for set_switch in "$@"; do
		printf ' --set %s' "$set_switch"
	done
}

# slow_behind MECHANISM: the slow settings of those that are added later; of all without one.
slow_behind() {
	mechanisms | awk -v from="$1" '
	from == "" || on { sub(/^[^ ]+ /, ""); print; next }
	$1 == from { on = 1 }' | paste -s -d ' ' -
}

# is_among NAME NAMES
is_among() {
	case " $2 " in
	*" $1 "*) return 0 ;;
	esac
	return 1
}

# rows L1: name, and what is set: all; each taken away alone; the slowest; each added to those before it.
rows() {
	echo "all"
	mechanisms | while read -r mechanism setting; do
		! is_shown "$1" "$mechanism" || echo "without_$mechanism $setting"
	done
	echo "slowest $(slow_behind '')"
	[ -n "$quick" ] || mechanisms | sed '$d' | while read -r mechanism _; do
		! is_shown "$1" "$mechanism" || echo "with_$mechanism $(slow_behind "$mechanism")"
	done
}

# is_shown L1 MECHANISM
is_shown() {
	[ -z "$quick" ] || is_among "$2" "$QUICK" || return 1
	[ "$1" != kvm ] || ! is_among "$2" "$OF_SEVERAL_GUESTS"
}

# Two runs of each. With two guests in turn at each exit, L1 switches VMCS and EPTP all the time.
twice() {
	for times in 1 2; do
		run_in cpuid.$times --l2 cpuid --count $((times * CPUIDS)) --timeout 300 "$@"
		run_in memory.$times --l2 memory --count $((times * PAGES)) --timeout 300 "$@"
		run_in switch.$times --l2 cpuid,cpuid --count $((times * CPUIDS / 2)) --append quantum=1 --timeout 300 "$@"
	done
}

# One run, traced: what L0 did from each exit of L2 that L1 handled to the next is in the trace.
kvm() {
	run --trace --l1 linux --l2 cpuid,memory --count $KVM_COUNT --timeout 1800 --append transparent_hugepage=never "$@"
	"$root/turtles" trace "$point/run" | awk '
	/^exit [0-9]+ of L2: / { reason = $5; sub(/,$/, "", reason) }
	/^  in all: / { if (reflected) { count[owner = reason]++; spent[owner] += $4 } else spent[owner] += $4 }
	/ hands it to L1$/ { reflected = 1 }
	/^$/ { reflected = 0 }
	END { for (reason in count) printf "%s\t%d\t%d\n", reason, count[reason], spent[reason] }
	' > "$point/costs.tsv"
	rm "$point/run/trace.bin"
}

# shellcheck disable=SC2086 # words
points() {
	for l1 in $l1s; do
		command=kvm
		[ "$l1" = kvm ] || command=twice
		rows "$l1" | while read -r row switches; do
			echo "$l1.$row $command$(set_arguments $switches)"
		done
	done
	is_among minivisor "$l1s" || return 0
	echo "minivisor.no_ept12 twice --append ept=off"
	echo "minivisor.drw twice --append drw=on"
	[ -n "$quick" ] || echo "minivisor.drw_alone twice --append drw=on --set vmcs_shadowing=off"
}

# l2_spent RUN: what L0 executed for all exits of L2, whoever handled them, those of L1 that they caused included.
l2_spent() {
	awk -F '\t' '$1 == "l2" { sum += $5 } END { print sum + 0 }' "$1/exits.tsv"
}

# of_minivisor POINT OPERATION REASON: of one more exit; what is not of it cancels out.
of_minivisor() {
	few=$points/$1/$2.1 many=$points/$1/$2.2
	awk -v spent=$(($(l2_spent "$many") - $(l2_spent "$few"))) \
		-v count=$(($(run_exits "$many" l2 "$3" l1 count) - $(run_exits "$few" l2 "$3" l1 count))) \
		'BEGIN { if (count > 0) printf "%.1f", spent / count; else printf "none" }'
}

# of_kvm POINT OPERATION REASON: the mean.
of_kvm() {
	awk -F '\t' -v reason="$3" -v operation="$2" '
	$1 == reason { value = sprintf("%.1f", $3 / $2) }
	END { printf "%s", operation == "switch" ? "-" : value == "" ? "none" : value }' "$points/$1/costs.tsv"
}

# Without EPT12 a page costs page faults.
page_reason() {
	case $1 in
	*.no_ept12) echo exception_or_nmi ;;
	*) echo ept_violation ;;
	esac
}

table() {
	printf 'l1\tmechanisms\tl2_cpuid\tl2_ept_violation\tl2_cpuid_two_guests\n'
	while read -r id _; do
		printf '%s\t%s\t%s\t%s\t%s\n' "${id%%.*}" "${id#*.}" "$("of_${id%%.*}" "$id" cpuid cpuid)" \
			"$("of_${id%%.*}" "$id" memory "$(page_reason "$id")")" "$("of_${id%%.*}" "$id" switch cpuid)"
	done < "$state/points.txt"
}

# Rows of the table that are shown in that plot, in their order: the whole, and each without one; or from the slowest on.
plot_rows() {
	case $1 in
	alone) echo '^all$|^without_|^no_ept12$|^drw' ;;
	added) echo '^slowest$|^with_|^all$' ;;
	esac
}

# plot_data NAME: label, CPUID and EPT violation of both L1s; a mechanism that one L1 has no row of has a gap there.
plot_data() {
	awk -F '\t' -v pattern="$(plot_rows "$1")" -v added="$1" '
	/^#/ || $1 == "l1" || $2 !~ pattern { next }
	!($2 in place) { place[$2] = ++rows; name[rows] = $2 }
	{ cpuid[$1, $2] = $3; page[$1, $2] = $4 }
	function value(of, l1, row) { return (l1, row) in of && of[l1, row] != "none" ? of[l1, row] : "-" }
	END {
		if (added == "added" && "all" in place) { # the last of all, not the first
			for (i = place["all"]; i < rows; i++) name[i] = name[i + 1]
			name[rows] = "all"
		}
		print "row\tminivisor cpuid\tminivisor page\tkvm cpuid\tkvm page"
		for (i = 1; i <= rows; i++) {
			label = name[i]
			if (added == "added") sub(/^with_/, "+ ", label)
			sub(/^without_/, "- ", label)
			print label "\t" value(cpuid, "minivisor", name[i]) "\t" value(page, "minivisor", name[i]) "\t" \
				value(cpuid, "kvm", name[i]) "\t" value(page, "kvm", name[i])
		}
	}' "$results/costs.tsv"
}

# Bars: for each row a CPUID and an EPT violation of L2, of both L1s.
# shellcheck disable=SC2016 # $rows is gnuplot's
plot() {
	more=''
	if is_among kvm "$l1s"; then
		more=', $rows using 4 linecolor rgb "#88ccee" title "KVM: CPUID of L2"'
		more="$more"', $rows using 5 linecolor rgb "#ddaa77" title "KVM: EPT violation of L2"'
	fi
	echo "\$rows << END"
	plot_data "$1"
	echo END
	case $1 in
	alone) echo 'set title "What L0 executes for an exit of L2, with one mechanism taken away"' ;;
	added) echo 'set title "What L0 executes for an exit of L2, as mechanisms are added one by one to the slowest L0"' ;;
	esac
	cat <<END
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set ylabel "instructions of L0, logarithmic"
set logscale y
set grid ytics
set grid noxtics
set xtics rotate by 35 right noenhanced font ',10' nomirror
set key outside top center horizontal noenhanced
set bmargin 11.5
set lmargin 16
plot \$rows using 2:xtic(1) linecolor rgb "#4477aa" title "minivisor: CPUID of L2", \\
	\$rows using 3 linecolor rgb "#cc6677" title "minivisor: EPT violation of L2"$more
END
}
