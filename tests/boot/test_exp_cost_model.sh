#!/bin/sh
# The cost model: small examples that are right by hand, what it refuses, and that no test point has a part in calibration.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
experiments=$root/experiments
# shellcheck source=scripts/exp-lib.sh
. "$root/scripts/exp-lib.sh"

points=$experiments/cost-model/points.tsv
counts=$experiments/cost-model/results/counts.tsv

# Rows as the files have them, columns by spaces.
rows() {
	printf '%s\n' "$@" | tr ' ' '\t'
}

# The small example. An operation "near" has one exit, ten VMREADs and 100 instructions in all; "far" has two exits, 40
# VMREADs, 400 instructions and two world switches.
write_example() {
	rows "parameter low value high unit source" "exit_and_entry 900 1000 1100 cycles free:range" "vmread 10 10 10 cycles book" \
		"instruction 0.25 - - cycles calibrated" "world_switch 0 50 100 cycles free:range" | sed 's/free:/free: /' > "$folder/small.tsv"
	rows "profile role point counts published unit source" "small calibration near a:near 1278 cycles book" \
		"small test far a:far 9999 cycles article" > "$folder/points.tsv"
	rows "operation l0 instructions exits entries vmread world_switch" "near a 100 1 1 10 0" "far a 400 2 2 40 2" \
		"near b 50 1 1 0 0" > "$folder/counts.tsv"
}

# model WHAT [OPTION...]: of the example; leaves $folder/stdout, $folder/stderr, $status.
model() {
	status=0
	model_what=$1
	shift
	awk -v what="$model_what" "$@" -f "$root/scripts/cost-model.awk" "$folder/small.tsv" "$folder/points.tsv" \
		"$folder/counts.tsv" > "$folder/stdout" 2> "$folder/stderr" || status=$?
}

# tells LINE...: that is what the model printed, spaces for tabs.
tells() {
	cat "$folder/stdout" "$folder/stderr"
	printf '%s\n' "$@" | tr ' ' '\t' | cmp - "$folder/stdout"
}

# refused PATTERN: in one line that matches, with a status.
refused() {
	cat "$folder/stdout" "$folder/stderr"
	[ "$status" -ne 0 ] && [ ! -s "$folder/stdout" ] && one_error "^cost-model: .*$1"
}

# bad_row FILE OLD NEW PATTERN NAME: the example with that changed is refused.
bad_row() {
	write_example
	tr '\t' ' ' < "$folder/$1" | sed "s/$2/$3/" | sed 's/free: /free:/' > "$folder/changed"
	tr ' ' '\t' < "$folder/changed" | sed 's/free:/free: /' > "$folder/$1"
	model prices
	ok "refused: $5" refused "$4"
}

# 100 instructions are 89 plain ones: 1278 = 1000 + 10 x 10 + 89 x 2. The far one is then 2 x 1000 + 40 x 10 + 358 x 2 + 2 x 50.
# Where an exit costs 900, an instruction costs 278/89; where it costs 1100, 78/89, and 358 of them 1118.2 and 313.8.
write_example
model prices
ok "an unknown is solved exactly" tells "small exit_and_entry 900.000 1000.000 1100.000 free" \
	"small instruction 0.876 2.000 3.124 calibrated" "small vmread 10.000 10.000 10.000 published" \
	"small world_switch 0.000 50.000 100.000 free"
model tests
ok "a figure and its range are right" tells "small far 9999 3216 2914 3518 -67.8 poor article"
model fit
ok "the calibration point is met, at each price" tells "small near 1278 1278 1278 1278 0.0 book"

# b:near has 49 plain instructions: 1000 + 49 x 2 = 1098. The ratio far:near is 3216/1098 there; its ends are by hand at the
# prices 900, 100 and 1100, 0.

model compare -v peer=a -v own=b
ok "a ratio's ends are those of the ranges" tells "small near 1278 1278 1278 1053 1098 1143 1.12 1.16 1.21"

# Two points, of 89 and 179 plain instructions, that want 2 and 3 cycles: the weighted mean by (89/1278)^2 and (179/1637)^2.
rows "double a 200 1 1 20 0" >> "$folder/counts.tsv"
rows "small calibration double a:double 1737 cycles book" >> "$folder/points.tsv"
model prices
squares() {
	awk 'BEGIN { a = 89 / 1278; b = 179 / 1737; printf "%.3f", (a * 178 / 1278 + b * 537 / 1737) / (a * a + b * b) }'
}
ok "two points are met by least squares" grep -q "instruction${tab}.*${tab}$(squares)${tab}" "$folder/stdout"

# A floor of 2.5 cycles leaves 1278 - 100 - 89 x 2.5 = 955.5 for the exit.
write_example
sed -i "s/0.25$tab-/2.5$tab-/" "$folder/small.tsv"
model prices
ok "at the floor, the free price that was calibrated by gives way" grep -q "exit_and_entry${tab}.*${tab}955.500${tab}" "$folder/stdout"
ok "and the one that was not stays" grep -q "world_switch${tab}.*${tab}50.000${tab}" "$folder/stdout"
model tests
ok "nothing beyond the floor is in a range" tells "small far 9999 3306 3206 3518 -66.9 poor article"

bad_row small.tsv "vmread 10" "vmraed 10" 'small.tsv, line 3: no parameter is called "vmraed"' "an unknown parameter"
bad_row small.tsv "vmread 10 10 10" "vmread 11 10 10" 'line 3: vmread: must be low <= value <= high' "a range that is none"
bad_row small.tsv "vmread 10 10 10" "vmread ten 10 10" 'line 3: vmread: low, value and high must be numbers' "a word for a number"
bad_row small.tsv "10 cycles book" "10 us book" 'line 3: the unit must be cycles, not "us"' "another unit"
bad_row small.tsv " book" "" 'line 3: there must be 6 columns, not 5' "a row without a source"
bad_row small.tsv "900 1000" "900 950" 'line 2: exit_and_entry is free, so its value must be the middle of its range, 1000' \
	"a free price that was chosen"
bad_row small.tsv "vmread 10 10 10 cycles book" "exit_and_entry 1 1 1 cycles book" 'line 3: exit_and_entry is there twice' "a price twice"
bad_row small.tsv "0.25 - -" "0.25 1 2" 'line 4: instruction is calibrated: low is its floor' "a calibrated price that is given"
bad_row small.tsv "vmread 10 10 10 cycles book" "vmread 1 - - cycles calibrated" 'instruction and vmread are both calibrated' "two unknowns"
bad_row small.tsv "parameter" "name" 'line 1: the columns must be' "another header"
bad_row small.tsv "900 1000 1100" "1300 1400 1500" 'instruction comes to less than 0.25 even with the lowest prices' \
	"prices that leave nothing for the unknown"
bad_row counts.tsv "vmread" "vmlaod" 'there is no price for vmlaod, of which a:near has 10' "a count that nothing prices"
bad_row counts.tsv "near a 100 1 1" "near a 100 1 2" 'a:near has 1 exits and 2 entries' "exits without entries"
bad_row counts.tsv "near a 100" "near a 5" 'a:near has more' "fewer instructions than VMREADs"
bad_row points.tsv "a:near" "a:nowhere" 'no counts are called "a:nowhere"' "a point without counts"
bad_row points.tsv "a:near" "a:far" 'a calibration point must be of a single level' "calibration by a nested point"
bad_row points.tsv "calibration" "hint" 'the role must be' "an unknown role"
bad_row points.tsv "9999 cycles article" "1278 cycles book" 'the same figure of book is a calibration point and a test point' \
	"a figure that is test and calibration"
bad_row points.tsv "calibration" "test" 'instruction is calibrated, but there is no calibration point' "no calibration point"
write_example
sed -i '/vmread/d' "$folder/small.tsv"
model prices
ok "refused: a price that is missing" refused 'small has no price for vmread, of which there are 10'

# Of what the tree has.
prices_by() {
	for processor in $(processors); do
		awk -v what=prices -f "$root/scripts/cost-model.awk" "$experiments/costs/$processor.tsv" "$1" "$counts" || return 1
	done
}

# The prices are the same with the tests' figures doubled, and without the tests.
tests_take_no_part() {
	prices_by "$points" > "$folder/prices" && [ -s "$folder/prices" ] || return 1
	awk -F '\t' -v OFS='\t' '$2 == "test" { $5 *= 2 } { print }' "$points" > "$folder/doubled.tsv"
	awk -F '\t' '$2 != "test"' "$points" > "$folder/without.tsv"
	[ "$(wc -l < "$folder/without.tsv")" -lt "$(wc -l < "$points")" ] && ! cmp -s "$points" "$folder/doubled.tsv" &&
		prices_by "$folder/doubled.tsv" | cmp - "$folder/prices" && prices_by "$folder/without.tsv" | cmp - "$folder/prices"
}

# Calibration points do: twice the figure is not the same price.
calibration_does() {
	awk -F '\t' -v OFS='\t' '$2 == "calibration" { $5 *= 2 } { print }' "$points" > "$folder/doubled.tsv"
	prices_by "$folder/doubled.tsv" > "$folder/other"
	! cmp -s "$folder/other" "$folder/prices"
}

# Each test point has a row in the reference results, each calibration point one of its own.
each_is_told() {
	for of in test:tests calibration:calibration; do
		awk -F '\t' -v role="${of%:*}" '$2 == role { print $1 "\t" $3 }' "$points" | sort > "$folder/points.names"
		awk -F '\t' '!/^#/ && $1 != "processor" { print $1 "\t" $2 }' "$experiments/cost-model/results/${of#*:}.tsv" |
			sort | diff "$folder/points.names" - || return 1
	done
	[ -s "$folder/points.names" ]
}

# Any table of counts can be priced, one with fewer columns too.
prices_a_table() {
	modelled price haswell-e5-2630v3 "$experiments/peer-kvm/results/counts.tsv" | grep -v ':l0_' > "$folder/priced"
	head -n 3 "$folder/priced"
	grep -q "^kvm_shadowing:l2_cpuid${tab}[0-9]*${tab}[0-9]*${tab}[0-9]*\$" "$folder/priced"
}

unknown_processor() {
	! (modelled prices pentium) 2> "$folder/stderr" && one_error 'no processor is called "pentium"; there are: bloomfield '
}

ok "every profile of the tree is sound" prices_by "$points"
ok "no test point has a part in the prices" tests_take_no_part
ok "calibration points have" calibration_does
ok "each point has its row in the results" each_is_told
ok "a table of another experiment can be priced" prices_a_table
ok "an unknown processor is refused" unknown_processor
plan $number
