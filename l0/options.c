#include "options.h"
#include "cpu.h"
#include "print.h"
#include "string.h"

struct options options;

static const struct option {
	const char *name, *standard, *values;
	u32 *value;
} option_table[] = {
#define OPTION(name, standard, values, meaning) { #name, standard, values, &options.name },
#include "options.def"
#undef OPTION
};

static bool is_separator(char c)
{
	return c == ' ' || c == '\t' || c == '\0';
}

static bool has_equals(const char *word, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (word[i] == '=')
			return true;
	return false;
}

static bool parse_number(const char *text, size_t length, u32 *value)
{
	u32 n = 0;

	if (length == 0 || length > 9)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		n = n * 10 + (u32)(text[i] - '0');
	}
	*value = n;
	return true;
}

/* "low..high": false if the values are not a range, or text is not in it. */
static bool parse_range(const char *values, const char *text, size_t length, u32 *value)
{
	const char *dots = strchr(values, '.');
	u32 low, high, n;

	if (!dots || !parse_number(values, (size_t)(dots - values), &low) ||
	    !parse_number(dots + 2, strlen(dots + 2), &high) || !parse_number(text, length, &n))
		return false;
	*value = n;
	return n >= low && n <= high;
}

/* "a|b|c": the place of text among them. */
static bool parse_choice(const char *values, const char *text, size_t length, u32 *value)
{
	for (u32 place = 0;; place++) {
		const char *bar = strchr(values, '|');
		size_t size = bar ? (size_t)(bar - values) : strlen(values);

		if (size == length && strncmp(values, text, length) == 0) {
			*value = place;
			return true;
		}
		if (!bar)
			return false;
		values = bar + 1;
	}
}

static bool parse_value(const struct option *option, const char *text, size_t length)
{
	u32 place;

	if (strcmp(option->values, "on|off") != 0)
		return parse_range(option->values, text, length, option->value) ||
		       parse_choice(option->values, text, length, option->value);
	if (!parse_choice(option->values, text, length, &place))
		return false;
	*option->value = place == 0;
	return true;
}

static void parse_word(const char *word, size_t length)
{
	for (size_t i = 0; i < ARRAY_SIZE(option_table); i++) {
		const struct option *option = &option_table[i];
		size_t name = strlen(option->name);

		if (length <= name || word[name] != '=' || strncmp(word, option->name, name) != 0)
			continue;
		if (!parse_value(option, word + name + 1, length - name - 1))
			l0_refuse("the switch %s takes %s", option->name, option->values);
		return;
	}
	l0_refuse("unknown switch on L0's command line at \"%s\"; `turtles list` names them all", word);
}

void options_parse(const char *command_line)
{
	for (size_t i = 0; i < ARRAY_SIZE(option_table); i++)
		ASSERT(parse_value(&option_table[i], option_table[i].standard, strlen(option_table[i].standard)));
	while (*command_line) {
		size_t length = 0;

		while (!is_separator(command_line[length]))
			length++;
		if (has_equals(command_line, length))
			parse_word(command_line, length);
		command_line += length + (command_line[length] != '\0');
	}
}

static void print_choice(const char *values, u32 place)
{
	for (; place > 0; place--)
		values = strchr(values, '|') + 1;
	for (; *values && *values != '|'; values++)
		print("%c", *values);
}

void options_print(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(option_table); i++) {
		const struct option *option = &option_table[i];
		bool on_off = strcmp(option->values, "on|off") == 0;

		print("run\tswitch.%s\t", option->name);
		if (strchr(option->values, '.'))
			print("%u", *option->value);
		else
			print_choice(option->values, on_off ? !*option->value : *option->value);
		print("\n");
	}
}
