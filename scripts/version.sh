#!/bin/sh
# Prints a C header that names the commit this tree was built from.
commit=$(git describe --always --dirty 2>/dev/null) || commit=unknown
printf '#define TURTLES_COMMIT "%s"\n' "$commit"
