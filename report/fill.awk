# fill.awk -v parts=FOLDER TEMPLATE: the template, in which @FILE@ stands for what that file of the folder holds.
function include(file, line, told) {
	while ((getline line < file) > 0) printf "%s%s", told++ ? "\n" : "", line
	close(file)
}

{
	while (match($0, /@[a-z]+\.[a-z]+@/)) {
		printf "%s", substr($0, 1, RSTART - 1)
		file = parts "/" substr($0, RSTART + 1, RLENGTH - 2)
		$0 = substr($0, RSTART + RLENGTH)
		include(file)
	}
	print
}
