#!/bin/sh
# turtles doctor: what this machine can run, each tool with its version, and how to get what is missing.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

# A package's version; of a tool that no package brought, just that it is there.
version_of() {
	dpkg-query -W -f '${Version}' "$1" 2> /dev/null || echo 'there, not from a Debian package'
}

tools() {
	package_table build emulator check | while IFS=$tab read -r group package probe; do
		if is_present "$probe"; then
			printf '  %-14s %-9s %s\n' "$package" "$group" "$(version_of "$package")"
		else
			printf '  %-14s %-9s missing\n' "$package" "$group"
		fi
	done
}

need=$(missing_packages build emulator)
missing=$(missing_packages build emulator check)
echo "Machine kinds"
if [ -z "$need" ]; then
	echo "  bochs          ready: an emulated VMX CPU"
else
	echo "  bochs          missing: $need"
fi
echo "  qemu           not supported yet"
echo "  libvirt        not supported yet"
echo "  metal          not supported yet"
echo "Tools"
tools
if [ -n "$missing" ]; then
	echo "To get what is missing:"
	echo "  sudo apt-get update && sudo $(install_command "$missing")"
fi
[ -z "$need" ]
