# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, the script that sources this
# Points on other machines: GNU parallel spreads them over ssh hosts, each of which has this tree, and runs those of a host
# that is lost elsewhere. Sourced by exp.sh, with $hosts the file that names them, $jobs the points at a time on a host
# that does not say, or nothing, $state the folder for it.

# Hosts are asked for no password, and a silent one is given up.
TURTLES_SSH=${TURTLES_SSH:-ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=10 -o ServerAliveCountMax=3}
PARALLEL=${PARALLEL:-parallel}
# Below the home directory there.
HOSTS_TREE=turtles-exp
# What a host has of this tree: not by the name of a commit, for that tells nothing of what is not committed.
HOSTS_SUM=.tree-sum
# What a point has to end, in milliseconds, from the end of its connection to its killing.
HOSTS_GRACE=TERM,5000,KILL

hosts_usage() {
	{ [ -f "$hosts" ] && [ -r "$hosts" ]; } || wrong "--hosts $hosts: no such file"
	hosts_wrong=$(awk '
	{ sub(/#.*/, "") }
	!NF { next }
	NF > 1 || $1 !~ /^([1-9][0-9]*\/)?(:|([A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9_.-]*)$/ {
		print "line " NR ": \"" $0 "\" is not [JOBS/][USER@]HOST, or [JOBS/]: for here"; exit
	}
	{ host = $1; sub(/^[0-9]*\//, "", host) }
	host in seen { print "line " NR ": " host " is there twice"; exit }
	{ seen[host] = 1; known++ }
	END { if (!known) print "no host in it" }' "$hosts" | head -n 1)
	[ -z "$hosts_wrong" ] || wrong "--hosts $hosts: $hosts_wrong"
	command -v "$PARALLEL" > /dev/null ||
		die "$STATUS_FAILURE" "--hosts needs GNU parallel; type: $(install_command "$(package_table hosts | cut -f 2 | head -n 1)")"
}

# hosts_table: jobs (0 if the file does not say) and login of each.
hosts_table() {
	sed 's/#.*//' "$hosts" | awk 'NF { n = split($1, part, "/"); print (n > 1 ? part[1] : 0), part[n] }'
}

# hosts_files: what makes the tree, but for the experiments; what git ignores is not of it.
hosts_files() {
	(
		cd "$root" || exit
		git ls-files -co --exclude-standard 2> "$state/ignored" ||
			find . -path ./build -prune -o -type f -print | sed 's,^\./,,'
	) | grep -v '^experiments/' | while IFS= read -r hosts_file; do
		[ ! -e "$root/$hosts_file" ] || printf '%s\n' "$hosts_file"
	done | sort
}

# The tree as it is sent, and its sum. The experiments may have a place of their own.
hosts_pack() {
	hosts_files > "$spread/files"
	"$root/scripts/version.sh" > "$spread/.commit"
	tar -C "$root" -cf "$spread/tree.tar" -T "$spread/files"
	tar -C "$spread" -rf "$spread/tree.tar" .commit
	tar -C "$experiments" -rf "$spread/tree.tar" --exclude=results --transform 's,^\.,experiments,' .
	hosts_sum=$({
		cat "$spread/.commit"
		(cd "$root" && tr '\n' '\0' < "$spread/files" | xargs -0 cksum)
		(cd "$experiments" && find . -name results -prune -o -type f -exec cksum {} + | sort)
	} | cksum | tr ' ' -)
}

# hosts_ssh LOGIN COMMAND: standard input is the command's.
hosts_ssh() {
	hosts_login=$1
	shift
	# shellcheck disable=SC2086 # words
	$TURTLES_SSH "$hosts_login" "$@"
}

# hosts_prepare_one LOGIN FOLDER: brings the tree there and has it built. Prints the number of CPUs there.
hosts_prepare_one() {
	hosts_has=$(hosts_ssh "$1" "nproc; cat $HOSTS_TREE/$HOSTS_SUM 2> /dev/null; exit 0" < /dev/null) || return
	printf '%s\n' "$hosts_has" | head -n 1
	[ "$(printf '%s\n' "$hosts_has" | tail -n 1)" != "$hosts_sum" ] || return 0
	hosts_ssh "$1" "mkdir -p $HOSTS_TREE && cd $HOSTS_TREE && find . -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} + &&
		tar -xf - && exec scripts/exp.sh --prepare $hosts_sum" < "$spread/tree.tar" || return
	# The same packages of Debian's everywhere, where an experiment has any.
	[ -d "$BUILD/linux/packages" ] || return 0
	hosts_ssh "$1" "cd $HOSTS_TREE && { [ -d build/linux/packages ] || tar -xf -; }" < "$spread/packages.tar"
}

# On a host, in the tree that was brought: builds it, or says in one line why that cannot be.
prepare_here() {
	"$root/turtles" doctor > /dev/null ||
		die "$STATUS_FAILURE" "missing Debian packages: $(missing_packages build emulator)"
	make_quietly all
	printf '%s\n' "$1" > "$root/$HOSTS_SUM"
}

# hosts_prepare: all at the same time; $spread/logins names those that are ready, as parallel wants them. One line of each that
# is not.
hosts_prepare() {
	hosts_pack
	mkdir "$spread/hosts"
	[ ! -d "$BUILD/linux/packages" ] ||
		tar -C "$BUILD" -cf "$spread/packages.tar" --transform 's,^,build/,' linux/packages
	: > "$spread/lost"
	: > "$spread/logins"
	hosts_table > "$spread/hosts.txt"
	while read -r _ login; do
		[ "$login" != : ] || continue
		setsid "$0" --prepare-host "$login" "$hosts_sum" "$spread" > "$spread/hosts/$login" 2> "$spread/hosts/$login.said" < /dev/null &
		preparing="${preparing-} $!:$login"
	done < "$spread/hosts.txt"
	[ -z "${preparing-}" ] || say "preparing hosts: $(cut -d ' ' -f 2 "$spread/hosts.txt" | grep -vx : | paste -s -d ' ' -)"
	while read -r count login; do
		hosts_ready "$login" || continue
		hosts_cpus=$(if [ "$login" = : ]; then nproc; else head -n 1 "$spread/hosts/$login"; fi)
		[ "$count" -gt 0 ] || count=${jobs:-$hosts_cpus}
		printf '%s/%s\n' "$count" "$login" >> "$spread/logins"
	done < "$spread/hosts.txt"
	preparing=''
	rm -f "$spread/tree.tar" "$spread/packages.tar"
	[ -s "$spread/logins" ] || die "$STATUS_FAILURE" "none of the hosts in $hosts can run anything"
}

# hosts_ready LOGIN: waits for its preparation.
hosts_ready() {
	[ "$1" != : ] || return 0
	for process in $preparing; do
		[ "${process#*:}" = "$1" ] || continue
		! wait "${process%%:*}" || return 0
	done
	say "$1 is left out: $(grep . "$spread/hosts/$1.said" | tail -n 1 | sed 's/^turtles: //')"
	return 1
}

# hosts_command: what parallel runs on a host, for the point {}. A host that is not this one has its tree below its home.
hosts_command() {
	cat <<-END
		if [ "\$PARALLEL_SSHLOGIN" = : ]; then cd '$root'; set here; else cd $HOSTS_TREE; set $hosts_sum; fi &&
			exec scripts/exp.sh --serve "\$1" '$name' '$quick' '$run_words' {}
	END
}

# On a host: runs a point and prints its folder as a tar file, with its status in it. A status of its own means that the point
# must run elsewhere.
serve_point() {
	[ "$1" = here ] || [ "$(cat "$root/$HOSTS_SUM")" = "$1" ] ||
		die "$STATUS_FAILURE" "another run has brought another tree to this host"
	served=$(mktemp -d)
	trap 'rm -rf "$served"' EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	mkdir "$served/$5"
	serve_status=0
	TURTLES_QUICK=$3 TURTLES_WORDS=$4 TURTLES_POINTS=$served "$0" --point "$2" "$5" > "$served/$5/log" 2>&1 < /dev/null || serve_status=$?
	echo $serve_status > "$served/$5/status"
	tar -C "$served" -cf - "$5"
}

# hosts_gather: the points that have ended since the last time. A host that was lost by then is told once.
hosts_gather() {
	tail -n "+$((gathered + 2))" "$spread/joblog" > "$spread/ended"
	while IFS=$tab read -r sequence host _ seconds _ _ exit_status signal _; do
		gathered=$((gathered + 1))
		id=$(sed -n "${sequence}p" "$state/queue" | cut -d ' ' -f 1)
		[ "$signal" -eq 0 ] || exit_status=$signal
		hosts_take "$id" "$exit_status" "${seconds%.*}" "$host"
	done < "$spread/ended"
	sort -u "$spread/lost" > "$spread/lost.now"
	for host in $(comm -13 "$spread/lost.told" "$spread/lost.now"); do
		say "$host is lost; its points run elsewhere"
	done
	mv "$spread/lost.now" "$spread/lost.told"
}

# hosts_take ID STATUS SECONDS HOST: what a host has left of a point.
hosts_take() {
	rm -rf "${points:?}/$1"
	mkdir -p "$points/$1"
	if [ "$2" -eq 0 ] && tar -C "$points" -xf "$spread/gathered/$1" 2> "$points/$1/log" && [ -e "$points/$1/status" ]; then
		point_status=$(cat "$points/$1/status")
		printf '%s\n' "$4" > "$points/$1/host"
	else
		{
			cat "$spread/gathered/$1.err"
			echo "no host that is left could run this point; the last one that tried was $4"
		} >> "$points/$1/log"
		point_status=$STATUS_FAILURE
	fi
	mv "$spread/keys/$1" "$points/$1/key.new"
	note_end "$1" "$point_status" "$3"
}

hosts_keys() {
	mkdir "$spread/keys" "$spread/gathered"
	while read -r id command; do
		point_key "$id" "$command" > "$spread/keys/$id"
	done < "$state/queue"
}

# run_points_on_hosts: those of $state/queue. Each is tried once on as many hosts as there are.
run_points_on_hosts() {
	failed='' told=0 told_busy=-1 busy=0 gathered=0 running=''
	[ -s "$state/queue" ] || return 0
	spread=$state/spread
	rm -rf "$spread"
	mkdir "$spread"
	hosts_prepare
	hosts_keys
	jobs=$(awk -F / '{ sum += $1 } END { print sum }' "$spread/logins")
	: > "$spread/joblog"
	: > "$spread/lost.told"
	cut -d ' ' -f 1 "$state/queue" > "$spread/ids"
	TURTLES_SSH=$TURTLES_SSH TURTLES_LOST=$spread/lost setsid "$PARALLEL" --plain --will-cite --ssh "$root/scripts/exp-ssh.sh" \
		--sshloginfile "$spread/logins" --retries "$(($(wc -l < "$spread/logins") + 1))" --termseq $HOSTS_GRACE \
		--joblog "$spread/joblog" --results "$spread/gathered/{}" "$(hosts_command)" \
		< "$spread/ids" > "$spread/parallel.out" 2> "$spread/parallel.said" &
	spreader=$!
	until has_ended $spreader; do
		hosts_gather
		busy=$gathered
		tell
		sleep "$POLL_SECONDS"
	done
	wait $spreader || :
	spreader=''
	hosts_gather
	[ "$gathered" -eq "$(wc -l < "$spread/ids")" ] ||
		die "$STATUS_FAILURE" "GNU parallel has ended early: $(grep . "$spread/parallel.said" | tail -n 1)"
	[ ! -t 2 ] || printf '\r\033[K' >&2
	say "$(progress)"
}

# Ends all that runs here for the hosts; what runs there ends with its connection.
hosts_end() {
	for process in ${preparing-} ${spreader-}; do
		pkill -TERM -s "${process%%:*}" || :
		wait "${process%%:*}" || :
	done
	[ -z "${spread-}" ] || rm -rf "$spread"
}
