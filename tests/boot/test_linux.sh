#!/bin/sh
# Debian's Linux with KVM as L1: the payloads, and a minivisor with a guest of its own, say under it what they say where
# that Linux has the bare CPU; and L0's books agree with KVM's.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/lib_linux.sh
. "$(dirname "$0")/lib_linux.sh"

l2=cpuid,memory,exception,minivisor
count=50

causes_exits() {
	[ "$(exits l2 cpuid l1 l1_exits)" -ge $((3 * count)) ]
}

# Neither package lists nor a network.
no_packages() {
	mkdir -p "$folder/bin"
	printf '#!/bin/sh\nexit 1\n' > "$folder/bin/apt-cache"
	printf '#!/bin/sh\necho "E: no network" >&2\nexit 100\n' > "$folder/bin/apt-get"
	chmod 755 "$folder/bin/apt-cache" "$folder/bin/apt-get"
	status=0
	PATH="$folder/bin:$PATH" BUILD="$folder/build" "$root/scripts/linux.sh" kernel > "$folder/stdout" 2> "$folder/stderr" ||
		status=$?
	status_is 1 && grep -v '^turtles: fetching' "$folder/stderr" > "$folder/error" && mv "$folder/error" "$folder/stderr" &&
		one_error 'cannot fetch linux-image-cloud-amd64 and busybox-static: E: no network'
}

plan 11
linux --bare --l2 $l2 --l3 cpuid,memory --count $count
ok "on the bare CPU" status_is 0
transcript > "$folder/bare.txt"
ok "each of them had its say" [ "$(grep -c '^turtles-verdict: success$' "$folder/bare.txt")" -eq 5 ]
export TURTLES_PROGRESS_SECONDS=1
linux --l2 $l2 --l3 cpuid,memory --count $count
ok "on L0: the transcript of the bare CPU" same_transcript "$folder/bare.txt"
ok "its progress shows: stage, instructions, time" \
	grep -q "^turtles: [0-9]* s, [0-9]* million instructions; L0 is up, L1 boots" "$folder/stderr"
ok "and what L1 said last" \
	grep -q "^turtles: [0-9]* s, [0-9]* million instructions; its console: ." "$folder/stderr"
ok "L0 hands L2's CPUIDs to L1" [ "$(exits l2 cpuid l1 count)" -ge $count ]
ok "and counts what of L1's they cause" causes_exits
ok "KVM counted the exits that L0 handed to it" every_exit_is_kvms
ok "nothing is left" nothing_left
ok "without packages, one line says so" no_packages
turtles run --l1 linux --l2 linux,none
ok "an unknown L2 is refused" one_error 'no payload is called "none"; there are: .* linux minivisor turtles'
