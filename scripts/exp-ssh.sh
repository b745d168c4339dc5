#!/bin/sh
# exp-ssh.sh [-l USER] HOST WORD...: $TURTLES_SSH for GNU parallel. A host that does not answer any more is noted in
# $TURTLES_LOST, and not asked again.
set -eu
STATUS_LOST=255 # ssh's own

login=$1
[ "$1" != -l ] || login=$2@$3
! grep -qxF -e "$login" "$TURTLES_LOST" || exit $STATUS_LOST
status=0
# shellcheck disable=SC2086 # words
$TURTLES_SSH "$@" || status=$?
[ $status -ne $STATUS_LOST ] || printf '%s\n' "$login" >> "$TURTLES_LOST"
exit $status
