#!/bin/sh
# Prints the commit that this tree stands on, "-dirty" behind it if something is not committed.
cd "$(dirname "$0")" || exit
GIT_OPTIONAL_LOCKS=0 git describe --always --dirty 2> /dev/null || echo unknown
