#!/bin/sh
# Turns the text symbols of nm's output into L0's own symbol table, a C file sorted by address.
# The names are one array in the table's own section: nothing outside of it depends on their number.
LC_ALL=C sort | LC_ALL=C awk '
BEGIN {
	print "#include \"l0/symbols.h\"\n"
	print "#define TABLE __attribute__((section(\".rodata_symbols\")))\n"
	print "static const char names[] TABLE ="
}
$2 ~ /^[tT]$/ && $3 !~ /^\./ {
	printf "\t\"%s\\0\"\n", $3
	entries = entries sprintf("\t{ 0x%s, names + %d },\n", $1, length_so_far)
	length_so_far += length($3) + 1
	count++
}
END {
	print "\t\"\";\n"
	# C has no empty arrays; the entry past the end also closes the last function.
	printf "const struct symbol l0_symbols[] TABLE = {\n%s\t{ ~0ull, names },\n};\n", entries
	printf "const unsigned l0_symbol_count TABLE = %d;\n", count
}'
