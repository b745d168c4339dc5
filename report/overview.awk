# Name, question, commit, machine and form of each experiment's results, to the rows of a table. After text.awk.
BEGIN { FS = "\t" }
{
	printf "<tr><th scope=\"row\"><a href=\"#%s\">%s</a></th><td>%s</td><td><code>%s</code></td><td>%s</td><td>%s</td></tr>\n",
		escape($1), escape($1), escape($2), escape($3), escape($4), escape($5)
}
