#!/bin/sh
# turtles exp on machines whose time is measured: points are repeated, pinned and warmed up, tables have minimum, median and
# maximum in cycles, and nothing mixes cycles and instructions. QEMU's own CPU stands for one with VMX: its clock runs too.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

export TURTLES_EXPERIMENTS="$folder/experiments"
kept=$folder/kept

# known NAME: an experiment whose figures are known: in repetition n of three, 40 / (n + 1) and 10 exits.
write_known() {
	mkdir -p "$TURTLES_EXPERIMENTS/known"
	echo '# known: what does a table make of known figures?' > "$TURTLES_EXPERIMENTS/known/README.md"
	cat > "$TURTLES_EXPERIMENTS/known/experiment.sh" << 'END'
configuration="instructions of nobody"
tables=costs
points() { echo 'fast known 40'; echo 'slow known 400'; }
known() { echo $(($1 / (${point##*@} + 1))) > "$point/value"; date +%s%N > "$point/when"; }
table() {
	printf 'point\texits\tl0_instructions\tshare\tpublished\n'
	for id in fast slow; do
		value=$(cat "$points/$id/value")
		printf '%s\t10\t%s\t%s\t-\n' "$id" "$value" $((value / 2))
	done
	[ "$(cat "$points/slow/value")" -lt 200 ] || printf 'extra\t1\t1\t1\t-\n'
}
END
}

# An L1 that needs no VMX, and tells how long it computed.
write_ticks() {
	mkdir -p "$TURTLES_EXPERIMENTS/ticks"
	echo '# ticks: how long does a program take?' > "$TURTLES_EXPERIMENTS/ticks/README.md"
	cat > "$TURTLES_EXPERIMENTS/ticks/experiment.sh" << 'END'
tables=ticks
image=$BUILD/guests/instruction.elf
points() { echo 'nops timed'; }
timed() { run --bare --l1 "$image" --append "count=50 what=nop@0"; }
table() {
	printf 'program\ttimes\tinstructions\n'
	sed -n 's/^ticks: /nops\t1\t/p' "$points/nops/run/console.txt"
}
END
}

body_is() {
	grep -v '^#' "$kept/results/$1.tsv" > "$folder/body"
	diff - "$folder/body"
}

head_has() {
	cat "$kept/results/$1.tsv"
	grep -q -x -e "# $2" "$kept/results/$1.tsv"
}

spread_table() {
	body_is costs << END
point${tab}exits${tab}l0_cycles_min${tab}l0_cycles_median${tab}l0_cycles_max${tab}share_min${tab}share_median${tab}share_max${tab}published${tab}repetitions
fast${tab}10${tab}10${tab}13${tab}20${tab}5${tab}6${tab}10${tab}-${tab}3
slow${tab}10${tab}100${tab}133${tab}200${tab}50${tab}66${tab}100${tab}-${tab}3
extra${tab}1${tab}1${tab}1${tab}1${tab}1${tab}1${tab}1${tab}-${tab}1
END
}

# Each point's warm-up and repetitions come one after the other.
in_order() {
	(cd "$kept/points" && for point in *@*; do echo "$(cat "$point/when") $point"; done) | sort -n | cut -d ' ' -f 2 |
		paste -s -d ' ' - | grep -x 'fast@0 fast@1 fast@2 fast@3 slow@0 slow@1 slow@2 slow@3'
}

# The figures of three runs, sorted, are the table's.
measured() {
	status_is 0 || return
	figures=$(for n in 1 2 3; do
		sed -n 's/^ticks: //p' "$kept/points/nops@$n/run/console.txt"
	done | sort -n | paste -s -d "$tab" -)
	body_is ticks << END
program${tab}times${tab}cycles_min${tab}cycles_median${tab}cycles_max${tab}repetitions
nops${tab}1${tab}$figures${tab}3
END
}

pinned() {
	grep -q "^pinned_to${tab}[0-9]" "$kept/points/nops@1/run/run.tsv"
}

no_instructions() {
	! grep -r -i instructions "$kept/results"
}

# threads_on CPU: a thread of the run's QEMU that may use that CPU alone.
threads_on() {
	for task in /proc/[0-9]*/task/*; do
		case $(tr '\0' ' ' 2> /dev/null < "${task%/task/*}/cmdline") in
		qemu*"$out/"*) sed -n 's/^Cpus_allowed_list:[^0-9]*//p' "$task/status" ;;
		esac
	done > "$folder/allowed"
	grep -q -x "$1" "$folder/allowed"
}

# A guest that hangs, pinned, then ended.
pins() {
	rm -rf "$out"
	"$root/turtles" run --out "$out" --machine qemu --accel tcg --bare --l1 "$images/hang.elf" --pin "$1" \
		> "$folder/stdout" 2> "$folder/stderr" &
	runner=$!
	for _ in $(seq 100); do
		! grep -q 'now hanging' "$out/console.txt" 2> "$folder/ignored" || break
		sleep 0.1
	done
	pins_status=0
	threads_on "$1" || pins_status=$?
	kill $runner
	wait $runner || :
	[ $pins_status -eq 0 ] || cat "$folder/allowed" "$folder/stderr"
	return $pins_status
}

printed() {
	cat "$folder/stdout" "$folder/stderr"
	cat "$folder/stdout" "$folder/stderr" | grep -q -e "$1"
}

not_told() {
	cat "$folder/stdout"
	for pattern in "$@"; do
		! grep -q -e "$pattern" "$folder/stdout" || return
	done
}

write_known
write_ticks
turtles exp known --machine qemu --accel tcg --repeat 3 --out "$kept"
ok "repeated points: minimum, median, maximum, the first thrown away, rows that not all have" spread_table
ok "the table's head has the unit" head_has costs 'unit: cycles'
ok "and the repetitions" head_has costs 'repetitions: 3, and one before them that is thrown away'
ok "no word of instructions where cycles are measured" no_instructions
ok "one after the other, each point with its warm-up first" in_order
cp -r "$kept/results" "$folder/qemu"
turtles exp diff "$folder/qemu" "$kept"
ok "diff: the same machine, no difference" printed 'no difference'
# shellcheck disable=SC2016 # the experiment's
sed -i 's/date/[ "$1" -ne 40 ] || echo 14 > "$point\/value"; date/' "$TURTLES_EXPERIMENTS/known/experiment.sh"
turtles exp known --machine qemu --accel tcg --repeat 3 --out "$kept"
turtles exp diff "$folder/qemu" "$kept"
ok "diff: cycles are held against cycles" printed '^costs  *fast  *l0_cycles_min  *10  *14 '

write_known
turtles exp known --repeat 2 --out "$kept"
ok "on the emulator, repeated when asked" head_has costs 'unit: instructions'
# shellcheck disable=SC2016 # the experiment's
sed -i -e 's/@/_/; s/(${point.*} + 1)/1/' "$TURTLES_EXPERIMENTS/known/experiment.sh"
turtles exp known --out "$kept"
ok "on the emulator, once" status_is 0
sed -i 's/	10	/	11	/' "$folder/qemu/costs.tsv"
turtles exp diff "$kept" "$folder/qemu"
ok "diff: different units are told" printed '^A is in instructions, B in cycles, which do not compare'
ok "diff: counts compare" printed '^costs  *fast  *exits  *10  *11 '
ok "diff: instructions are not held against cycles" not_told 'l0_' 'share'

turtles exp ticks --machine qemu --accel tcg --repeat 3 --out "$kept"
ok "QEMU's clock: the table has what three runs measured" measured
ok "they were pinned" pinned
turtles exp ticks --out "$kept"
ok "no table mixes what was counted and what was measured" printed 'have figures in cycles instructions'
ok "pinned to a CPU" pins 0
turtles run --machine qemu --accel tcg --pin 9999
ok "refused: a CPU that is not there" one_error '--pin: CPU 9999 of this host is not there'
turtles run --machine qemu --accel tcg --pin 0 --cpus 2
ok "refused: fewer CPUs than the machine has" one_error '--pin has 1 CPUs of this host for 2'
turtles run --machine qemu --accel tcg --pin x
ok "refused: no list" one_error '--pin takes a list'
turtles run --pin 0
ok "refused: to pin the emulator" one_error '--pin is for --machine qemu and libvirt'
TURTLES_STEPS=3 turtles run --machine qemu --accel tcg
ok "refused: the emulator's witness elsewhere" one_error 'needs --machine bochs'

sed -i '1iemulator="it is old"' "$TURTLES_EXPERIMENTS/known/experiment.sh"
turtles exp known --machine qemu
ok "refused: an experiment that needs the emulator" one_error 'known needs the emulator: it is old'
turtles exp ticks --machine metal
ok "refused: an experiment on metal" one_error '--machine metal: every point'
turtles exp ticks --machine vax
ok "refused: another machine" one_error '--machine takes bochs, qemu or libvirt, not "vax"'
turtles exp ticks --machine qemu --repeat 0
ok "refused: no repetition" one_error '--repeat takes a number from 1, not "0"'
turtles exp ticks --machine qemu --record
ok "refused: to record what is not exact" one_error '--record is for --machine bochs'
plan $number
