# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, scripts/exp.sh
configuration="minivisor: payloads cpuid and memory; kvm: the same under Debian's Linux and KVM; instructions of L0"
tables=costs
plots=costs
CPUIDS=4000
PAGES=400
KVM_COUNT=4000
# ABLATION_L1=minivisor leaves KVM out, which takes most of the time.
l1s=${ABLATION_L1:-minivisor kvm}
[ -z "$quick" ] || l1s=minivisor

# Each mechanism and what takes it away, in the order in which they are added.
mechanisms() {
	cat <<'END'
ept02_cache ept02_cache=off
composed_ahead ept02_ahead=off
large_pages ept01_large_pages=off ept02_large_pages=off
several_ept02 ept02_slots=1
several_vmcs02 vmcs02_slots=1
bitmap_cache bitmap_cache=off
dirty_tracking dirty_tracking=off
lazy_guest_state lazy_guest_state=off
vpid02 vpid02=off
selective_invalidation selective_invalidation=off
vmcs_shadowing vmcs_shadowing=off
learned_fields shadow_fields=fixed
END
}

# set_arguments SWITCH=VALUE...: as turtles run takes them.
set_arguments() {
	for set_switch in "$@"; do
		printf ' --set %s' "$set_switch"
	done
}

# All the slow settings from a mechanism on; all of them without one.
slow_from() {
	mechanisms | awk -v from="$1" '
	from == "" || $1 == from { on = 1 }
	on { sub(/^[^ ]+ /, ""); print }' | paste -s -d ' ' -
}

# Name, and what is set: all; each taken away alone; the slowest; each added.
rows() {
	echo "all"
	mechanisms | if [ -n "$quick" ]; then grep -e '^vmcs_shadowing' -e '^learned'; else cat; fi | sed 's/^/without_/'
	echo "slowest $(slow_from '')"
	[ -n "$quick" ] || mechanisms | while read -r mechanism _; do
		following=$(mechanisms | awk -v name="$mechanism" 'found { print $1; exit } $1 == name { found = 1 }')
		[ -z "$following" ] || echo "with_$mechanism $(slow_from "$following")"
	done
}

# Two runs of each payload.
twice() {
	run_in cpuid.1 --l2 cpuid --count $CPUIDS "$@"
	run_in cpuid.2 --l2 cpuid --count $((2 * CPUIDS)) "$@"
	run_in memory.1 --l2 memory --count $PAGES "$@"
	run_in memory.2 --l2 memory --count $((2 * PAGES)) "$@"
}

kvm() {
	run --l1 linux --l2 cpuid,memory --count $KVM_COUNT --timeout 900 "$@"
}

# shellcheck disable=SC2086 # words
points() {
	rows | while read -r row switches; do
		[ "${l1s#minivisor}" = "$l1s" ] || echo "minivisor.$row twice$(set_arguments $switches)"
		[ "${l1s%kvm}" = "$l1s" ] || echo "kvm.$row kvm$(set_arguments $switches)"
	done
	echo "minivisor.no_ept12 twice --append ept=off"
	echo "minivisor.drw twice --append drw=on"
	[ -n "$quick" ] || echo "minivisor.drw_alone twice --append drw=on --set vmcs_shadowing=off"
}

# l0_spent RUN REASON: what L0 executed for these exits of L2, whoever handled them.
l0_spent() {
	echo $(($(run_exits "$1" l2 "$2" l1 l0_instructions) + $(run_exits "$1" l2 "$2" l0 l0_instructions)))
}

# cost POINT PAYLOAD REASON: of one more exit to L1.
cost() {
	case $1 in
	minivisor.*)
		cost_spent=$(($(l0_spent "$points/$1/$2.2" "$3") - $(l0_spent "$points/$1/$2.1" "$3")))
		cost_count=$(($(run_exits "$points/$1/$2.2" l2 "$3" l1 count) - $(run_exits "$points/$1/$2.1" l2 "$3" l1 count)))
		;;
	*)
		cost_spent=$(l0_spent "$points/$1/run" "$3")
		cost_count=$(run_exits "$points/$1/run" l2 "$3" l1 count)
		;;
	esac
	awk -v spent="$cost_spent" -v count="$cost_count" 'BEGIN {
		if (count > 0) printf "%.1f", spent / count
		else printf "none"
	}'
}

# Without EPT12 a page costs page faults.
page_reason() {
	case $1 in
	*.no_ept12) echo exception_or_nmi ;;
	*) echo ept_violation ;;
	esac
}

table() {
	printf 'l1\tmechanisms\tl2_cpuid\tl2_ept_violation\n'
	while read -r id _; do
		printf '%s\t%s\t%s\t%s\n' "${id%%.*}" "${id#*.}" "$(cost "$id" cpuid cpuid)" "$(cost "$id" memory "$(page_reason "$id")")"
	done < "$state/points.txt"
}

# Bars: for each L1 and row, a CPUID and an EPT violation of L2.
plot() {
	cat <<END
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set title "What L0 executes for an exit of L2, as mechanisms are taken away and added"
set ylabel "instructions of L0, logarithmic"
set logscale y
set grid ytics
set xtics rotate by 45 right noenhanced
set key top left noenhanced
set bmargin 22
table = '$results/costs.tsv'
plot table using 3:xtic(stringcolumn(1)." ".stringcolumn(2)) linecolor rgb "#4477aa" title "CPUID of L2", \\
	table using 4 linecolor rgb "#cc6677" title "EPT violation of L2"
END
}
