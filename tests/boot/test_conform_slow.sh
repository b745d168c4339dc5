#!/bin/sh
# The conformance suite in the slowest setting of L0: every optimization off, one slot in each table of slots. But for one:
# without the cache of ept02 each entry of L2 begins with violations, at which the emulated CPU takes single steps and NMIs
# too early (docs/differences.md). test_settings.sh and others have that one as well.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

is_whole() {
	status_is 0 && grep -q '^# [1-9][0-9]* cases, ' "$folder/stdout"
}

plan 1
# shellcheck disable=SC2046 # several words
turtles conform $(all_slow) --set ept02_cache=on
ok "all groups, all switches slow" is_whole
