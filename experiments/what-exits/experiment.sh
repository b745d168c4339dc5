# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, scripts/exp.sh
configuration="payload instruction, 1000 times each; L2 under minivisor, default switches"
tables="instructions cpuid"
COUNT=1000
image=$BUILD/guests/instruction.elf
quick_list="nop@0 syscall@3 ud2@3 cpuid_0@3 cpuid_1_ecx@0 cpuid_40000000@0 rdtsc_tsd@3 mov_to_cr3@0 in_80@0 in_e0@0
	popf_if@3"

# The payload's own list, each NAME@CPL that it can execute.
instructions() {
	if [ -n "$quick" ]; then
		# shellcheck disable=SC2086 # words
		printf '%s\n' $quick_list
		return
	fi
	sed -n 's/^\tX(\([a-z0-9_]*\), [A-Z]*, \([A-Z]*\),.*/\1 \2/p' "$root/l1/guests/instruction.c" |
		awk '$1 != "syscall" && $1 != "hlt" { print $1 "@0" } $2 !~ /APIC$/ { print $1 "@3" }'
}

# Nothing would wake it: see l1/guests/instruction.c.
l2_instructions() {
	instructions | grep -v '^hlt_woken@'
}

points() {
	echo "native native"
	for cpl in 0 3; do
		echo "l1-cpl$cpl each l1 $cpl"
		echo "l2-cpl$cpl each l2 $cpl"
	done
	[ -n "$quick" ] || echo "kvm run --l1 linux --l2 instruction --count $COUNT --what all --timeout 1800"
}

native() {
	make_quietly "$image"
	run --bare --l1 "$image" --append "count=$COUNT what=all"
}

# each LEVEL CPL: a run for each instruction.
each() {
	make_quietly "$image"
	"$1_instructions" | grep "@$2\$" | while read -r what; do
		"on_$1" "$what" || exit 1
	done
	[ "$1$2$quick" != l20 ] || run_in hlt_woken@0 --l2 halt --count $COUNT
}

l1_instructions() {
	instructions
}

on_l1() {
	run_in "$1" --l1 "$image" --append "count=$COUNT what=$1"
}

# What minivisor does not emulate ends its guest, which it tells.
on_l2() {
	run_in "$1" --l2 instruction --count $COUNT --what "$1" ||
		grep -q '^\[instruction\] minivisor: ' "$point/$1/console.txt"
}

# result CONSOLE NAME@CPL: what the payload told of it; ticks: how many it took.
result() {
	sed -n -e "s/^\(\[instruction\] \)*$2: //p" -e 's/^\[instruction\] minivisor: .*/guest ended/p' "$1" | head -n 1
}

ticks() {
	tr -d '\r' < "$1" | awk -v what="$2:" '{ sub(/^\[[a-z]*\] /, "") } $1 == what { getline; print $NF }'
}

# told LEVEL RUN: the handlers of as many exits as there were instructions, or of the one that ended the guest.
told() {
	least=$COUNT
	grep -q "^\[instruction\] minivisor: " "$2/console.txt" && least=1
	awk -F "$tab" -v level="$1" -v least="$least" -v count="$COUNT" '
	$1 != level || $4 < least || (least == 1 && ($3 != "l1" || $2 ~ "^(io_instruction|cpuid)$")) { next }
	{ times = int($4 / count); printf "%s%s: %s%s", separator, toupper($3), $2, (times > 1) ? " x" times : "" }
	{ separator = ", "; any = 1 }
	END { print any ? "" : "nobody" }' "$2/exits.tsv"
}

# cost LEVEL-CONSOLE NAME@CPL: instructions per execution beyond the native ones.
cost() {
	awk -v native="$(ticks "$points/native/run/console.txt" "$2")" -v here="$(ticks "$1" "$2")" -v count=$COUNT '
	BEGIN { if (here == "") print "-"; else printf "%.1f\n", (here - native) / count }'
}

# level LEVEL NAME@CPL: result, who was told, and cost, a tab between.
level() {
	folder=$points/$1-cpl${2#*@}/$2
	if [ -e "$folder/console.txt" ]; then
		level_result=$(result "$folder/console.txt" "$2")
		printf '%s\t%s\t%s\n' "${level_result:-done}" "$(told "$1" "$folder")" "$(cost "$folder/console.txt" "$2")"
	else
		printf -- '-\t-\t-\n'
	fi
}

table_instructions() {
	printf 'instruction\tcpl\tnative\tl1\tl1_told\tl2\tl2_told\tl1_cost\tl2_cost\n'
	instructions | while read -r what; do
		native=$(result "$points/native/run/console.txt" "$what")
		printf '%s\t%s\t' "${what%@*}" "CPL ${what#*@}"
		printf '%s\t%s\t%s\n' "$native" "$(level l1 "$what")" "$(level l2 "$what")" |
			awk -F '\t' -v OFS='\t' '{ print $1, $2, $3, $5, $6, $4, $7 }'
	done
}

# The three leaves by which software tells where it is.
table_cpuid() {
	printf 'level\tleaf_0\tleaf_1_ecx\thypervisor_bit\tvmx_bit\tleaf_40000000\n'
	{
		cpuid_row native "$points/native/run"
		cpuid_row L1 "$points"/l1-cpl*
		cpuid_row "L2 of minivisor" "$points"/l2-cpl*
		[ -n "$quick" ] || cpuid_row "L2 of KVM" "$points/kvm/run"
	}
}

# cpuid_row LEVEL FOLDER...: in whichever of the consoles below it is.
cpuid_row() {
	cpuid_level=$1
	shift
	find "$@" -name console.txt -exec cat {} + | tr -d '\r' | awk -v level="$cpuid_level" '
	{ sub(/^\[instruction\] /, ""); what = $1; sub(/^[^ ]* /, ""); gsub(/"/, "") }
	what ~ /^cpuid_0@/ { vendor = $0 }
	what ~ /^cpuid_40000000@/ { hypervisor = $0 }
	what ~ /^cpuid_1_ecx@/ { ecx = $0 }
	function bit(digit, place) { return int((index("0123456789abcdef", substr(ecx, digit, 1)) - 1) / place) % 2 }
	END {
		while (length(ecx) < 10) sub(/^0x/, "0x0", ecx)
		printf "%s\t%s\t%s\tis %s\tis %s\t%s\n", level, vendor, ecx, bit(3, 8), bit(9, 2), hypervisor
	}'
}

table() {
	"table_$1"
}
