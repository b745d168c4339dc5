# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, scripts/exp.sh
configuration="VMCS shadowing of learned fields, of fixed ones, and off, in every L0; all other switches default"
emulator="it counts the instructions of all levels"
tables="depth reasons"
plots=depth
PAYLOADS=cpuid,delivery,exception,halt,io,memory,msr,vmcall,window
KVM_PAYLOADS=cpuid,memory,instruction

depths="0 1 2 3 4"
settings="learned all fixed off"
count=1000
if [ -n "$quick" ]; then
	depths="0 1 2"
	settings="learned off"
	count=100
fi

# shadowing SETTING: the switches for it.
shadowing() {
	case $1 in
	off) echo vmcs_shadowing=off ;;
	*) echo "shadow_fields=$1" ;;
	esac
}

# With four levels, where each VMREAD and VMWRITE exits, their start alone takes an hour.
is_left_out() {
	[ "$1" -gt 3 ] && [ "$2" = off ]
}

points() {
	for depth in $depths; do
		for setting in $settings; do
			is_left_out "$depth" "$setting" || echo "depth$depth-$setting at_depth $depth $setting"
		done
	done
	for setting in $settings; do
		echo "minivisor-$setting run --l2 $PAYLOADS --count $count --set $(shadowing "$setting")"
	done
	[ -n "$quick" ] || for setting in learned off; do
		echo "kvm-$setting run --l1 linux --l2 $KVM_PAYLOADS --what all --count $count \
			--set $(shadowing "$setting") --timeout 1800"
	done
}

# few DEPTH SETTING, many DEPTH SETTING: how many exits of the innermost guest its two runs have: what they differ by is
# measured. When the first ends, L0s have learned.
few() {
	case $2$1 in
	learned[34]) echo 1000 ;;
	learned*) echo 600 ;;
	*[34]) echo 10 ;;
	*) echo 100 ;;
	esac
}

many() {
	echo $(($(few "$1" "$2") * 4 / 3))
}

at_depth() {
	make_quietly "$BUILD/turtles.elf" "$BUILD/minivisor.elf" "$BUILD/guests/vmcall.bin"
	for exits in $(few "$1" "$2") $(many "$1" "$2"); do
		minivisor_under "$1" "$2" "$exits"
	done
}

# minivisor_under DEPTH SETTING COUNT: so many L0s, one on the other, and minivisor with its guest on the last.
minivisor_under() {
	switch=$(shadowing "$2") guest_count=$3
	case $1 in
	0) set -- 0 --bare ;;
	1) set -- 1 --set "$switch" ;;
	*) set -- "$1" --set "$switch" --append "tick=instruction $switch" --l1 "$BUILD/turtles.elf" ;;
	esac
	depth=$1
	shift
	if [ "$depth" -le 1 ]; then
		run_in "$guest_count" "$@" --l2 vmcall --count "$guest_count"
		return
	fi
	while [ "$depth" -gt 2 ]; do
		set -- "$@" --module "$BUILD/turtles.elf tick=instruction $switch"
		depth=$((depth - 1))
	done
	run_in "$guest_count" "$@" --module "$BUILD/minivisor.elf" \
		--module "$BUILD/guests/vmcall.bin count=$guest_count" --memory 256 --timeout 1800
}

# all_exits RUN: to the L0 at the bottom; every one of the CPU's.
all_exits() {
	awk -F '\t' 'NR > 1 { sum += $4 } END { print sum + 0 }' "$1/exits.tsv"
}

# per_exit DEPTH SETTING BEFORE AFTER
per_exit() {
	awk -v few="$3" -v many="$4" -v exits=$(($(many "$1" "$2") - $(few "$1" "$2"))) \
		'BEGIN { printf "%.2f\n", (many - few) / exits }'
}

# depth_row DEPTH SETTING: exits and instructions of all levels for one exit of the innermost guest.
depth_row() {
	before=$points/depth$1-$2/$(few "$1" "$2") after=$points/depth$1-$2/$(many "$1" "$2")
	depth_exits=1
	[ "$1" = 0 ] || depth_exits=$(per_exit "$1" "$2" "$(all_exits "$before")" "$(all_exits "$after")")
	printf '%s\t%s\t' "$depth_exits" \
		"$(per_exit "$1" "$2" "$(run_fact "$before" instructions)" "$(run_fact "$after" instructions)")"
}

# Kauer's bound is the published 6, to the depth.
table_depth() {
	kauer=$(awk -F '\t' '$1 == "Kauer 2011" { print $5 }' "$experiments/published.tsv")
	printf 'levels\tl0s\t'
	for setting in $settings; do
		printf 'exits_%s\tinstructions_%s\t' "$setting" "$setting"
	done
	printf 'published_kauer_2011_bound\n'
	bound=1
	for depth in $depths; do
		printf 'exit of L%s\t%s\t' $((depth + 1)) "$depth"
		for setting in $settings; do
			if is_left_out "$depth" "$setting"; then
				printf -- '-\t-\t'
			else
				depth_row "$depth" "$setting"
			fi
		done
		printf '%s\n' "$bound"
		bound=$((bound * kauer))
	done
}

# Exits that L1 handled, of L2 and, with a Turtles as L1, of what runs on L2; each with those of L1 that it caused, by
# the columns of its row. Fewer than five of a reason are of its start, or its end.
table_reasons() {
	printf 'l1\tshadowing\treason\tcount\tl0_exits_per_exit\tvmread\tvmwrite\tvmresume\tother\tl0_instructions\n'
	for setting in $settings; do
		reason_rows minivisor "$setting" "$points/minivisor-$setting/run"
	done
	for setting in $settings; do
		[ ! -e "$points/kvm-$setting" ] || reason_rows kvm "$setting" "$points/kvm-$setting/run"
	done
	for setting in $settings; do
		reason_rows turtles "$setting" "$points/depth2-$setting/$(many 2 "$setting")"
	done
}

# reason_rows L1 SETTING RUN
reason_rows() {
	awk -F '\t' -v OFS='\t' -v l1="$1" -v setting="$2" '
	NR == 1 || $1 != "l2" || $3 != "l1" || $4 < 5 { next }
	{
		split("", of)
		n = split($8, part, ",")
		for (i = 1; i <= n; i++) { split(part[i], pair, ":"); of[pair[1]] = pair[2] }
		other = $7 - of["vmread"] - of["vmwrite"] - of["vmresume"]
		print l1, setting, $2, $4, f(1 + $7 / $4), f(of["vmread"] / $4), f(of["vmwrite"] / $4),
			f(of["vmresume"] / $4), f(other / $4), sprintf("%.1f", $5 / $4)
	}
	function f(number) { return sprintf("%.2f", number) }' "$3/exits.tsv"
}

table() {
	"table_$1"
}

plot() {
	cat <<END
set title "VM exits of the CPU that one exit of the innermost guest causes, itself included"
set xlabel "hypervisors below minivisor (0: it runs on the CPU itself)"
set ylabel "VM exits, logarithmic"
set logscale y
set format y "%.0f"
set xtics 1
set xrange [-0.2:4.3]
set key above left vertical maxrows 5 reverse Left
table = '$results/depth.tsv'
END
	printf "plot "
	for setting in $settings; do
		echo "table using 'l0s':'exits_$setting' with linespoints lw 2 pt 7 title 'measured: VMCS shadowing $setting', \\"
	done
	cat <<END
	table using 'l0s':'published_kauer_2011_bound' with linespoints dt 2 lw 2 pt 6 lc rgb 'black' \
		title "published: Kauer 2011, lower bound, six trapping instructions per exit, 6^n" noenhanced
END
}
