#!/bin/sh
# What goes wrong with L0: images it cannot start, too little memory, an L1 that crashes or fails, faults of its own.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

# refused PATTERN: L0 stopped with a line that says why, on its log and at the terminal.
refused() {
	status_is 1 && one_error "$1" && grep -q -e "$1" "$out/l0.txt" && grep -qx 'turtles-l0-verdict: failure' "$out/l0.txt"
}

backtrace() {
	grep -q "^L0 .*$1" "$out/l0.txt" && grep -q '^ *[0-9a-f]* *l0_main+0x' "$out/l0.txt"
}

plan 16

echo 'no image' > "$folder/text"
: > "$folder/empty"
head -c 2000 "$images/info.elf" > "$folder/truncated.elf"
for image in text empty truncated.elf; do
	run --l1 "$folder/$image"
	ok "a broken L1 image: $image" refused "^.*L0: .*L1's image"
	ok "$image: nothing is left" nothing_left
done

run --l1 "$images/hello.elf" --memory 4
ok "no memory for L0 and L1" refused 'L0: not enough memory'
run --l1 "$images/kludge.bin" --memory 8
ok "little memory is enough for a small L1" status_is 0
run --l1 "$images/triple_fault.elf"
ok "a triple fault of L1" refused 'L1 .*triple fault'
run --l1 "$images/fail.elf"
ok "an L1 that reports failure" one_error 'the guest reported failure'
ok "its failure is the run's" status_is 1
run --l1 "$images/silent.elf"
ok "an L1 without a verdict line" status_is 1

run --l1 "$images/hello.elf" --set test_fault=ud --timeout 20
ok "a fault in L0 stops the machine" refused 'L0 fault'
ok "it is reported with a symbolised backtrace" backtrace 'vector 6'
run --l1 "$images/hello.elf" --set test_fault=stack --timeout 20
ok "a stack overflow of L0 runs into the guard page and stops the machine" refused 'L0 fault'
run --l1 "$images/hello.elf" --set test_fault=exit --timeout 20
ok "an exit that L0 does not know is dumped and stops the machine" refused 'L0 stops: unexpected exit'
