#!/bin/sh
# The conformance suite on other CPU models, in short: the groups whose answers depend on what a CPU has.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

MODELS="corei5_arrandale_m520 corei7_sandy_bridge_2600k corei7_haswell_4770 corei7_icelake_u tigerlake"
GROUPS_IN_SHORT="caps cet events exits modes msr_lists sub_pages"

is_whole() {
	status_is 0 && grep -q '^# [1-9][0-9]* cases, ' "$folder/stdout"
}

plan "$(echo "$MODELS" | wc -w)"
for model in $MODELS; do
	# shellcheck disable=SC2086 # a list of words
	turtles conform $GROUPS_IN_SHORT --cpu "$model"
	ok "$GROUPS_IN_SHORT on $model" is_whole
done
