#!/bin/sh
# L0's switches at random, all at once, under an L1 whose own settings are random too: its console is byte by byte that of
# the same L1 on the bare CPU. Each run of the test draws other ones; SEED=N tests/boot/test_mix.sh draws those again.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

GUESTS=cpuid,io,msr,vmcall,memory,halt,exception,paging,debug
MIXES=${MIXES:-8}
OFFSETS="0 3 8 16"
# A table must hold what one instruction touches; 0 is L0's own choice.
TABLES="0 64 256"
L1_WORDS="ept=on|off vpid=on|off drw=on|off map=demand|eager|large quantum=1|16"

# The next number of a sequence into $random, 0 to 2^15 - 1: xorshift, for which the state must not be 0.
draw() {
	state=$(((state ^ state << 13) & 0xffffffff))
	state=$((state ^ state >> 17))
	state=$(((state ^ state << 5) & 0xffffffff))
	random=$((state * 40503 >> 16 & 0x7fff))
}

# draw_one WORD...: one of the words into $drawn.
draw_one() {
	draw
	shift $((random % $#))
	drawn=$1
}

# draw_value NAME VALUES: into $drawn, a value that the switch takes; nothing for a switch that is no matter of taste.
draw_value() {
	case $1,$2 in
	l1,* | test_fault,* | cpus,* | tick,* | log,* | trace,*) drawn='' ;;
	l1_offset,*) draw_words "$OFFSETS" ;;
	*_tables,*) draw_words "$TABLES" ;;
	*,*..*) draw_words "${2%..*} ${2#*..}" ;;
	*) draw_words "$(printf '%s' "$2" | tr '|' ' ')" ;;
	esac
}

draw_words() {
	# shellcheck disable=SC2086 # words
	draw_one $1
}

# draw_l0: the --set arguments of a mix into $l0_words.
draw_l0() {
	l0_words=''
	while IFS=$tab read -r name _ values _; do
		draw_value "$name" "$values"
		[ -z "$drawn" ] || l0_words="$l0_words --set $name=$drawn"
	done < "$folder/switches"
}

# draw_l1: L1's command line into $l1_words.
draw_l1() {
	l1_words=''
	for word in $L1_WORDS; do
		draw_words "$(printf '%s' "${word#*=}" | tr '|' ' ')"
		l1_words="$l1_words${l1_words:+ }${word%%=*}=$drawn"
	done
}

# Room for the guests, each page of them 2 MiB, above the highest offset.
guests() {
	run --l2 $GUESTS --count 20 --memory 128 --timeout 40 --append "$l1_words" "$@"
}

# What L1 says of drw is for test_drw.sh.
console() {
	grep -v '^minivisor: drw=on' "$out/console.txt"
}

as_bare() {
	status_is 0 && console | diff "$folder/bare.txt" -
}

seed=${SEED:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
echo "# SEED=$seed tests/boot/test_mix.sh draws these again"
state=$((seed + 1))
switch_table > "$folder/switches"
plan $((2 * MIXES))
mix=0
while [ $mix -lt "$MIXES" ]; do
	mix=$((mix + 1))
	draw_l0
	draw_l1
	guests --bare
	console > "$folder/bare.txt"
	ok "seed $seed, mix $mix: minivisor $l1_words on the bare CPU" status_is 0
	# shellcheck disable=SC2086 # words
	guests $l0_words
	ok "seed $seed, mix $mix: on L0 with$l0_words" as_bare
done
