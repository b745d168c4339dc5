#!/bin/sh
# gates.sh: what the tree promises of itself, as TAP: pure rooms, headers that stand alone, clean shell, short
# functions.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
cd "$root"

PURE_ROOMS="vmcs_shadow ept_merge"
PURE_IMPORTS="memcpy memset memcmp memmove assert_failed"
# Instructions that reach for the machine: privileged, VMX, ports, and the ones whose answer is not a value of C.
MACHINE_INSTRUCTIONS="cli|sti|hlt|clts|in|out|(in|out)s[bwl]|s[gil]dt|l[gil]dt|ltr|str|lmsw|smsw|invlpg|invpcid|invd|wbinvd\
|rdmsr|wrmsr|rdpmc|rdtscp?|cpuid|swapgs|sys(call|ret|enter|exit)l?q?|iretq?|int3?|xsetbv|xgetbv|mwait|monitor|ud2\
|vm(call|clear|func|launch|resume|ptrld|ptrst|read|write|xoff|xon)q?|inv(ept|vpid)|(rd|wr)(fs|gs)base|rdrand|rdseed"
FUNCTION_LINES=60
LINE_COLUMNS=120
ONE_IN=60

number=0

# gate NAME COMMAND...: passes if the command prints nothing and ends well; what it prints is what is wrong.
gate() {
	gate_name=$1
	shift
	number=$((number + 1))
	if complaint=$("$@" 2>&1) && [ -z "$complaint" ]; then
		printf 'ok %d - %s\n' $number "$gate_name"
	else
		printf 'not ok %d - %s\n' $number "$gate_name"
		printf '%s\n' "${complaint:-it failed}" | sed 's/^/# /'
	fi
}

pure_objects() {
	for room in $PURE_ROOMS; do
		for source in "$room"/*.c; do
			printf '%s\n' "$BUILD/obj/${source%.c}.o"
		done
	done
}

# What the rooms leave undefined, beyond each other and the few functions that they may take from outside.
pure_imports() {
	pure_objects | xargs nm -u | awk 'NF == 2 { print $2 }' | sort -u > "$gates/undefined"
	{
		pure_objects | xargs nm --defined-only | awk 'NF == 3 { print $3 }'
		printf '%s\n' "$PURE_IMPORTS" | tr ' ' '\n'
	} | sort -u > "$gates/defined"
	comm -23 "$gates/undefined" "$gates/defined"
}

pure_state() {
	pure_objects | xargs nm -A | grep ' [bBdDcCsSgG] ' || :
}

pure_instructions() {
	pure_objects | xargs objdump -d --no-show-raw-insn |
		awk -F '\t' -v machine="^($MACHINE_INSTRUCTIONS)\$" '
		/^[0-9a-f]+ </ { where = substr($1, index($1, "<")) }
		{ sub(/^(rep[nz]*|lock) /, "", $2) }
		NF > 1 && ($2 ~ /%[cd]r[0-9]/ || match($2, /^[a-z0-9]+/) && substr($2, 1, RLENGTH) ~ machine) { print where, $2 }'
}

pure_includes() {
	for room in $PURE_ROOMS; do
		grep -n '#include' "$room"/*.[ch]
	done | while IFS= read -r include; do
		header=$(printf '%s\n' "$include" | sed 's/.*[<"]\(.*\)[>"].*/\1/')
		case $header in
		string.h | stdbool.h | stddef.h | stdint.h) continue ;;
		*..*) printf '%s\n' "$include" ;;
		esac
		for place in include/ vmcs_shadow/ ept_merge/; do
			[ -e "$place${header#"$place"}" ] && continue 2
		done
		printf '%s\n' "$include"
	done
}

headers_alone() {
	"${MAKE:-make}" -s -k -C "$root" BUILD="$build_name" headers
}

shell_files() {
	git ls-files -co --exclude-standard 2> /dev/null > "$gates/files" ||
		find . -type f -not -path './build/*' -not -path './.git/*' > "$gates/files"
	while IFS= read -r file; do
		[ -f "$file" ] || continue
		case $file in
		*.sh) printf '%s\n' "$file" ;;
		*) head -n 1 "$file" | tr -d '\0' | grep -q '^#!/bin/\(ba\)*sh' && printf '%s\n' "$file" ;;
		esac
	done < "$gates/files"
	return 0
}

shell_clean() {
	shell_files | xargs shellcheck -x
}

shell_posix() {
	shell_files | while IFS= read -r file; do
		head -n 1 "$file" | grep -q bash || dash -n "$file"
	done
}

# Length and name of each C function: from its opening brace's line to its closing one's, both at the margin.
functions() {
	find include lib l0 vmcs_shadow ept_merge l1 boot tools tests -name '*.c' -exec cat {} + | awk '
		/^[a-z].*\)$/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
		/^\{/ { start = NR }
		/^\}/ && start { print NR - start + 1, name; start = 0 }'
}

short_functions() {
	functions | sort -n | awk -v limit=$FUNCTION_LINES -v one_in=$ONE_IN '
	$1 > limit { long[++n] = $0 }
	END {
		if (n * one_in <= NR) exit
		printf "%d of %d functions have more than %d lines; one in %d may:\n", n, NR, limit, one_in
		for (i = 1; i <= n; i++) print long[i]
	}'
}

# With tabs of 8 columns.
short_lines() {
	find include lib l0 vmcs_shadow ept_merge l1 boot tools tests report \( -name "*.[chS]" -o -name "*.def" -o -name "*.js" \
		-o -name "*.css" -o -name "*.html" \) |
		while IFS= read -r file; do
			expand -t 8 "$file" | awk -v file="$file" -v limit=$LINE_COLUMNS \
				'length($0) > limit { printf "%s:%d: %d columns\n", file, FNR, length($0) }'
		done | (! grep .)
}

tell_lengths() {
	functions | sort -n | awk '{ length_of[NR] = $1 }
	END { printf "# %d functions: median %d lines, nine in ten up to %d, longest %d\n",
		NR, length_of[int((NR + 1) / 2)], length_of[int(NR * 0.9)], length_of[NR] }'
}

gates=$(mktemp -d)
trap 'rm -rf "$gates"' EXIT
echo 1..9
gate "pure rooms import nothing but each other and memory functions" pure_imports
gate "pure rooms have no mutable data" pure_state
gate "pure rooms have no instruction that reaches for the machine" pure_instructions
gate "pure rooms include only include/ and each other" pure_includes
gate "each header compiles alone" headers_alone
gate "shellcheck has nothing to say" shell_clean
gate "the shell is POSIX" shell_posix
gate "hardly a function is longer than $FUNCTION_LINES lines" short_functions
gate "no line is longer than $LINE_COLUMNS columns" short_lines
tell_lengths
