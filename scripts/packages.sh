#!/bin/sh
# packages.sh GROUP...: sees to it that the Debian packages of these groups are there; no network if they are.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

missing=$(missing_packages "$@")
[ -n "$missing" ] || exit 0
install=$(install_command "$missing")
say "missing Debian packages: $missing"
if ! command -v apt-get > /dev/null; then
	die "$STATUS_FAILURE" "this machine has no apt-get: install what provides them, then try again"
elif [ "$(id -u)" -eq 0 ]; then
	as_root=''
elif sudo -n true 2> /dev/null; then
	as_root='sudo -n'
else
	die "$STATUS_FAILURE" "root's rights are needed; type: sudo apt-get update && sudo $install"
fi

export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # words of a command
$as_root apt-get update || say "apt-get update failed; trying with the lists at hand"
# shellcheck disable=SC2086
$as_root $install || die "$STATUS_FAILURE" "could not install; type: $as_root $install"
missing=$(missing_packages "$@")
[ -z "$missing" ] || die "$STATUS_FAILURE" "still missing after apt-get install: $missing"
