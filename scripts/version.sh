#!/bin/sh
# Prints the commit that this tree stands on, "-dirty" behind it if something is not committed. A tree that was brought to
# another host has it in a file.
cd "$(dirname "$0")/.." || exit
if [ -e .commit ]; then
	cat .commit
else
	GIT_OPTIONAL_LOCKS=0 git describe --always --dirty 2> /dev/null || echo unknown
fi
