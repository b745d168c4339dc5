#!/bin/sh
# turtles exp --hosts: points run on other hosts, those of a host that is lost elsewhere, and the tables are those of a run
# here. An ssh of this test's own stands for the network: each host is a folder, its home.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

export TURTLES_EXPERIMENTS="$folder/experiments"
kept=$folder/kept
nap=$((1000 + $$ % 9000))

# The ssh: what it starts is no child of whom it was started by, as little as with sshd. A host with the file "dies" is lost in
# the middle of each point; one with "builds" builds, the others are taken for built.
write_ssh() {
	cat > "$folder/ssh" << END
#!/bin/sh
[ "\$1" != -l ] || shift 2
home=$folder/\${1#*@}
shift
[ "\$1" != -- ] || shift
[ -d "\$home" ] || { echo "ssh: could not resolve hostname" >&2; exit 255; }
cd "\$home" || exit
echo call >> calls
make=true
[ ! -e builds ] || make=make
set -- env -i SHELL=/bin/sh HOME="\$PWD" PATH="\$PATH" MAKE=\$make sh -c "\$*"
case "\$*" in
*GNU_Parallel*)
	if [ -e dies ]; then
		setsid "\$@" > half &
		sleep 0.5
		kill -KILL -- -\$!
		echo died >> deaths
		exit 255
	fi
	;;
esac
exec setsid -w "\$@"
END
	chmod +x "$folder/ssh"
	export TURTLES_SSH="$folder/ssh"
}

write_small() {
	mkdir -p "$TURTLES_EXPERIMENTS/small"
	echo '# small: what is the square of a number?' > "$TURTLES_EXPERIMENTS/small/README.md"
	cat > "$TURTLES_EXPERIMENTS/small/experiment.sh" << 'END'
tables=squares
numbers="1 2 3 4 5 6"
points() { for n in $numbers; do echo "square$n square $n"; done; }
square() { sleep 0.4 && echo $(($1 * $1)) > "$point/value"; }
table() {
	printf 'number\tsquare\n'
	for n in $numbers; do
		printf 'n%s\t%s\n' "$n" "$(cat "$points/square$n/value")"
	done
}
END
}

# hosts LINE...: the file, and a home for each host that is not to be unknown.
hosts() {
	printf '%s\n' "$@" > "$folder/hosts"
	rm -rf "$folder"/one "$folder"/two
	mkdir "$folder/one" "$folder/two"
}

# small OPTION...: the experiment on the hosts.
small() {
	rm -rf "$kept"
	turtles exp small --hosts "$folder/hosts" --out "$kept" "$@"
}

said() {
	cat "$folder/stderr"
	grep -q -e "$1" "$folder/stderr"
}

same_table() {
	status_is 0 && cmp "$folder/local.tsv" "$kept/results/squares.tsv"
}

# ran_on HOST NUMBER: at least so many points ran there.
ran_on() {
	cat "$kept"/points/*/host
	[ "$(cat "$kept"/points/*/host | grep -cx -e "$1")" -ge "$2" ]
}

some_run() {
	pgrep -f "sleep $nap"
}

none_runs() {
	! some_run
}

# wait_for COMMAND...: until it is so, for twenty seconds at most.
wait_for() {
	waits=100
	until "$@" > "$folder/waiting" 2>&1; do
		waits=$((waits - 1))
		[ $waits -gt 0 ] || return
		sleep 0.2
	done
}

nothing_kept() {
	[ ! -e "$kept/spread" ] || ls "$kept/spread"
}

ends_everywhere() {
	sed -i "s/sleep 0.4 /sleep $nap /" "$TURTLES_EXPERIMENTS/small/experiment.sh"
	rm -rf "$kept"
	"$root/turtles" exp small --hosts "$folder/hosts" --out "$kept" > "$folder/stdout" 2> "$folder/stderr" &
	experiment=$!
	wait_for [ -e "$folder/one/calls" ]
	wait_for eval "[ \$(pgrep -c -f 'sleep $nap') -ge 4 ]" || return
	kill $experiment
	status=0
	wait $experiment || status=$?
	wait_for none_runs && status_is 143
}

real_run() {
	mkdir -p "$TURTLES_EXPERIMENTS/cpuid-models"
	sed -n 's/^    \(# cpuid-models: .*\)/\1/p' "$root/docs/experiments.md" > "$TURTLES_EXPERIMENTS/cpuid-models/README.md"
	awk '/^```$/ { inside = 0 } inside; /^```sh$/ { inside = 1 }' "$root/docs/experiments.md" \
		> "$TURTLES_EXPERIMENTS/cpuid-models/experiment.sh"
	turtles exp cpuid-models --quick --out "$folder/here"
	status_is 0 || return
	touch "$folder/one/builds"
	turtles exp cpuid-models --quick --out "$folder/there" --hosts "$folder/hosts"
	status_is 0 && cmp "$folder/here/results/cost.tsv" "$folder/there/results/cost.tsv" &&
		cmp "$folder/here/points/corei7_skylake_x/run/run.tsv" "$folder/there/points/corei7_skylake_x/run/run.tsv"
}

refuse() {
	hosts "$1"
	small
	ok "refused: $1" refused "$2"
}

refused() {
	status_is 2 && one_error "$1"
}

write_ssh
write_small
turtles exp small --out "$kept"
cp "$kept/results/squares.tsv" "$folder/local.tsv"

hosts '# two hosts and this one' 2/someone@one two 1/:
small --jobs 1
ok "two hosts and this one: the tables of a run here" same_table
ok "the first ran some, with a user's name" ran_on someone@one 1
ok "the second ran some" ran_on two 1
ok "this one ran some" ran_on : 1
ok "nothing of the spreading is kept" nothing_kept
rm "$kept/points/square3/key"
: > "$folder/one/calls"
turtles exp small --hosts "$folder/hosts" --out "$kept" --jobs 1
ok "what is not finished is taken up" same_table
ok "a tree that a host has is not brought again" [ "$(wc -l < "$folder/one/calls")" -le 2 ]

hosts one two
touch "$folder/two/dies"
small --jobs 2
ok "a host dies: the tables of a run here" same_table
ok "it is told" said 'two is lost; its points run elsewhere'
ok "it died in the middle of a point" grep -q died "$folder/two/deaths"
ok "the other host ran all" ran_on one 6
touch "$folder/one/dies"
small --jobs 2
ok "all hosts die: a failure" status_is 1
ok "it is told of each point" said 'the point square6 failed: no host that is left could run this point'

hosts one nowhere
small --jobs 3
ok "a host that cannot be reached is left out" same_table
ok "it is told" said 'nowhere is left out: ssh: could not resolve'
hosts nowhere
small
ok "no host can be reached: a failure" status_is 1
ok "it is told" said 'none of the hosts in .* can run anything'
# shellcheck disable=SC2016 # the experiment's variable
sed -i 's/n%s/m%s/; s/echo \$/[ $1 -ne 5 ] \&\& &/' "$TURTLES_EXPERIMENTS/small/experiment.sh"
hosts one two
small --jobs 3
ok "a point that fails on a host fails the run" status_is 1
ok "it is told, and no other host is tried" said 'the point square5 failed: *;'
write_small

hosts 2/one 1/two 1/:
ok "a run that is interrupted ends what it has started, everywhere" ends_everywhere
hosts one
ok "emulated machines on a host that builds the tree itself: the same" real_run

refuse '3/' '3/" is not \[JOBS/\]\[USER@\]HOST'
refuse '-oProxyCommand=x' 'line 1: .* is not'
refuse 'one two' 'line 1: .* is not'
refuse '# nothing' 'no host in it'
hosts one 2/one
small
ok "refused: a host twice" refused 'line 2: one is there twice'
turtles exp small --hosts "$folder/nonesuch"
ok "refused: no such file" refused 'nonesuch: no such file'
hosts one
PARALLEL=nonesuch small
ok "without GNU parallel one line says how to get it" one_error '--hosts needs GNU parallel; type: apt-get install .*parallel$'
plan $number
