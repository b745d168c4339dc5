# Reads what the emulator's debugger prints: of each instruction that it has traced, its tick, its address (hexadecimal)
# and its mnemonic go to standard output, everything else to the file named by rest.
#
# awk -v rest=FILE -f trace.awk

BEGIN { printf "" > rest }
# (0).[1750063] [0x000003c11765] 0008:0000000000111765 (unk. ctxt): vmresume                  ; 0f01c3
/^\(0\)\.\[[0-9]+\] / {
	printf "%s\t%s\t%s\n", substr($1, 6, length($1) - 6), substr($3, index($3, ":") + 1), $6
	next
}
{ print > rest }
