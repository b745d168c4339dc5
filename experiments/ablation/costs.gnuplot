# The table costs as bars: for each L1 and row, a CPUID and an EPT violation of L2.
set terminal svg size 1100, 720 background "white" font "sans,12"
set output plot
set datafile separator tab
set datafile commentschars "#"
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set ylabel "instructions of L0"
set logscale y
set grid ytics
set xtics rotate by 45 right noenhanced
set key top left noenhanced
set bmargin 16
set lmargin 16
plot table using 3:xtic(stringcolumn(1)." ".stringcolumn(2)) skip 1 linecolor rgb "#4477aa" title "l2_cpuid", \
	table using 4 skip 1 linecolor rgb "#cc6677" title "l2_ept_violation"
