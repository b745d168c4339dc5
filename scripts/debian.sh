# shellcheck shell=sh
# shellcheck disable=SC2154 # variables come from the script that sources this
# Debian's packages as files: fetched once, unpacked where they are wanted; nothing is installed, and root is not needed.
# Sourced, with $work a folder that goes away at the end.

packages=$BUILD/packages

# debian_file PATTERN: the package of that name that was fetched; nothing if there is none.
debian_file() {
	find "$packages" -name "$1_*.deb" | sort | tail -n 1
}

# debian_depends PACKAGE [APT-OPTION]...: the first package that it depends on.
debian_depends() {
	depends_of=$1
	shift
	apt-cache "$@" depends "$depends_of" 2> "$work/apt.txt" | sed -n 's/^ *Depends: //p' | head -n 1
}

# A name "PACKAGE:PATTERN" is what PACKAGE depends on first, by that pattern of the shell once it is here.
debian_download() {
	names=''
	for name in $debian_missing; do
		case $name in
		*:*) name=$(debian_depends "${name%%:*}" "$@") ;;
		esac
		names="$names $name"
	done
	# shellcheck disable=SC2086 # names
	(cd "$packages" && apt-get "$@" -q download $names) > "$work/apt.txt" 2>&1
}

# debian_fetch NAME...: those that are not there yet; with the machine's package lists, or with fresh ones of our own if
# it has none or they are too old.
debian_fetch() {
	mkdir -p "$packages"
	debian_missing=''
	for name in "$@"; do
		[ -n "$(debian_file "${name#*:}")" ] || debian_missing="$debian_missing $name"
	done
	[ -n "$debian_missing" ] || return 0
	command -v apt-get > /dev/null ||
		die "$STATUS_FAILURE" "no apt-get here: put Debian's packages$debian_missing (.deb) into $packages, then try again"
	say "fetching of Debian, once, into $packages:$debian_missing"
	set -- -o APT::Sandbox::User=root
	! debian_download "$@" || return 0
	mkdir -p "$packages/apt/lists/partial" "$packages/apt/archives/partial"
	set -- "$@" -o "Dir::State::lists=$packages/apt/lists" -o "Dir::Cache=$packages/apt"
	if ! apt-get "$@" -q update > "$work/apt.txt" 2>&1 || ! debian_download "$@"; then
		die "$STATUS_FAILURE" "cannot fetch$debian_missing: $(tail -n 1 "$work/apt.txt")"
	fi
}

# debian_unpack FOLDER NAME...
debian_unpack() {
	unpack_to=$1
	shift
	for name in "$@"; do
		dpkg-deb -x "$(debian_file "$name")" "$unpack_to" ||
			die "$STATUS_FAILURE" "$(debian_file "$name") is broken: remove it, then try again"
	done
}
