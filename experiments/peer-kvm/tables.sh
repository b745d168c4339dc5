# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, scripts/exp.sh
# The tables of peer-kvm.

# net POINT: the same less that of the bare CPU.
net() {
	{
		bench_ticks bare | sed 's/^/bare\t/'
		bench_ticks "$1" | sed 's/^/here\t/'
	} | awk -F '\t' -v OFS='\t' '
	$1 == "bare" { bare[$2] = $3; next }
	$2 in bare { printf "%s\t%.1f\n", $2, $3 - bare[$2] }'
}

# The columns side by side: operation, and a figure of each of the files; "none" where one has none.
side_by_side() {
	awk -F '\t' -v OFS='\t' '
	FNR == 1 { file++ }
	!($1 in row) { row[$1] = ++rows; name[rows] = $1 }
	{ value[$1, file] = $2 }
	END {
		for (r = 1; r <= rows; r++) {
			line = name[r]
			for (f = 1; f <= file; f++) line = line OFS (((name[r], f) in value) ? value[name[r], f] : "none")
			print line
		}
	}' "$@"
}

point_names() {
	sed 's/ .*//' "$state/points.txt"
}

columns() {
	printf 'operation'
	for point_name in "$@"; do
		printf '\t%s' "$point_name"
	done
	echo
	folder=$state/columns
	rm -rf "$folder"
	mkdir "$folder"
	bench_ticks bare > "$folder/bare"
	for point_name in "$@"; do
		[ "$point_name" = bare ] || net "$point_name" > "$folder/$point_name"
	done
	(cd "$folder" && side_by_side "$@")
}

# What the peer costs, what Turtles costs, and how many times as much the peer is.
table_costs() {
	columns bare kvm_shadowing turtles_default kvm_no_shadowing turtles_no_vmcs_shadowing | awk -F '\t' -v OFS='\t' '
	function ratio(a, b) { return b > 0 ? sprintf("%.1f", a / b) : "none" }
	NR == 1 { print $1, $2, $3, $4, "ratio", $5, $6, "ratio_no_shadowing"; next }
	{ print $1, sprintf("%.1f", $2), $3, $4, ratio($3, $4), $5, $6, ratio($5, $6) }'
}

table_settings() {
	# shellcheck disable=SC2046 # names
	columns $(point_names | grep '^turtles_')
}

table_counts() {
	printf 'operation\tl0\tinstructions\texits\tentries\tvmread\tvmwrite\tvmptrld\tvmclear\tinvept\tinvvpid\n'
	for point_name in $(point_names | grep -x -e 'kvm.*' -e turtles_default -e turtles_no_vmcs_shadowing); do
		bench_counts "$point_name" | cut -f 1-10 | awk -F '\t' -v OFS='\t' -v l0="$point_name" '
		{ operation = $1; sub(/^[^\t]*/, ""); print NR, operation, l0 $0 }'
	done | sort -s -n -k 1,1 | cut -f 2-
}

# KVM beside Turtles, both with VMCS shadowing: what each executed, and how many times as much it was in KVM.
table_ratios() {
	{
		columns kvm_shadowing turtles_default | sed '1d; s/^/net\t/'
		bench_counts kvm_shadowing | sed 's/^/kvm\t/'
		bench_counts turtles_default | sed 's/^/turtles\t/'
	} | awk -F '\t' -v OFS='\t' '
	function ratio(a, b) { return b > 0 ? sprintf("%.1f", a / b) : "none" }
	function pair(what) { return kvm[name, what] OFS turtles[name, what] OFS ratio(kvm[name, what], turtles[name, what]) }
	function keep(into) {
		into[$2, "exits"] = $4
		into[$2, "accesses"] = $6 + $7
		into[$2, "vmptrld"] = $8
	}
	$1 == "net" { order[++n] = $2; kvm[$2, "net"] = $3; turtles[$2, "net"] = $4 }
	$1 == "kvm" { keep(kvm) }
	$1 == "turtles" { keep(turtles); counted[$2] = 1 }
	END {
		print "operation", "instr_kvm", "instr_turtles", "ratio", "exits_kvm", "exits_turtles", "exits_ratio",
			"vmcs_kvm", "vmcs_turtles", "vmcs_ratio", "vmptrld_kvm", "vmptrld_turtles", "vmptrld_ratio"
		for (i = 1; i <= n; i++) {
			name = order[i]
			if (name in counted) print name, pair("net"), pair("exits"), pair("accesses"), pair("vmptrld")
		}
	}'
}

# The marks: what is measured of both, and whether the mark is met.
table_marks() {
	{
		columns kvm_shadowing kvm_no_shadowing turtles_default turtles_no_vmcs_shadowing | sed '1d; s/^/net\t/'
		for point_name in $(point_names | grep -e '^kvm' -e '^turtles'); do
			bench_counts "$point_name" | awk -F '\t' -v OFS='\t' -v l0="$point_name" '{ print "count", $1, l0, $5 + $6 }'
		done
		sed '1d; s/^/mark\t/' "$experiments/$name/marks.tsv"
	} | awk -F '\t' -v OFS='\t' '
	function tell(what, kvm, mark, turtles) {
		print what, kvm, mark, turtles, turtles + 0 <= mark + 0 ? "met" : "missed"
	}
	BEGIN { print "mark_of", "kvm", "mark", "turtles", "verdict" }
	$1 == "net" { net[$2, "on", "kvm"] = $3; net[$2, "off", "kvm"] = $4; net[$2, "on", "t"] = $5; net[$2, "off", "t"] = $6 }
	$1 == "count" { accesses[$2, $3] = $4 }
	$1 == "mark" { tell($2 "_shadowing_" $3, net[$2, $3, "kvm"], $4, net[$2, $3, "t"]) }
	END {
		kvm = accesses["l2_cpuid", "kvm_shadowing"]
		tell("l2_cpuid_vmcs_accesses_of_l0", kvm, sprintf("%.1f", kvm / 3), accesses["l2_cpuid", "turtles_default"])
	}'
}

tables="costs ratios counts settings marks"
[ -z "$quick" ] || tables="settings counts"

table() {
	"table_$1"
}

[ -n "$quick" ] || plots=operations

# Both L0s, operation by operation; one that neither executes anything for has no bar.
plot() {
	cat <<END
set title "What an L0 executes for an operation, net of the bare CPU: Linux's KVM and Turtles"
set ylabel "instructions of L0, logarithmic"
set logscale y
set format y "%.0f"
set yrange [10:*]
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set grid noxtics
set xtics rotate by 45 right noenhanced font ',9'
set bmargin 12
set lmargin 13
set key outside top center horizontal
table = '$results/ratios.tsv'
positive(name) = column(name) > 0 ? column(name) : NaN
plot table using (positive('instr_kvm')):xtic(1) linecolor rgb "#cc6677" title "KVM as L0", \\
	table using (positive('instr_turtles')) linecolor rgb "#4477aa" title "Turtles, default switches"
END
}
