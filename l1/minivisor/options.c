#include "options.h"
#include "fail.h"
#include "string.h"

static size_t word_length(const char *word)
{
	size_t length = 0;

	while (word[length] && word[length] != ' ')
		length++;
	return length;
}

/* The word after this one, or the first one of a line if length is 0; NULL at the end. */
static const char *next_word(const char *word, size_t length)
{
	word += length;
	while (*word == ' ')
		word++;
	return *word ? word : NULL;
}

static size_t key_length(const char *word, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (word[i] == '=')
			return i;
	return length;
}

bool option_find(const char *line, const char *key, char value[OPTION_SIZE])
{
	size_t size = strlen(key), length = 0;

	for (const char *word = next_word(line, 0); word; word = next_word(word, length)) {
		length = word_length(word);
		if (key_length(word, length) != size || size == length || strncmp(word, key, size))
			continue;
		if (length - size > OPTION_SIZE)
			fail("the value of %s= is too long: at most %d characters", key, OPTION_SIZE - 1);
		memcpy(value, word + size + 1, length - size - 1);
		value[length - size - 1] = '\0';
		return true;
	}
	return false;
}

void option_text(const char *line, const char *key, char *text, size_t size)
{
	char value[OPTION_SIZE];

	if (!option_find(line, key, value))
		return;
	if (strlen(value) >= size)
		fail("%s=%s is too long: at most %lu characters", key, value, size - 1);
	memcpy(text, value, strlen(value) + 1);
}

bool parse_number(const char *text, u64 *value)
{
	*value = 0;
	if (!*text)
		return false;
	for (; *text; text++)
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, (u64)(*text - '0'), value))
			return false;
	return true;
}

u64 option_number(const char *line, const char *key, u64 assumed, u64 low, u64 high)
{
	char text[OPTION_SIZE];
	u64 value;

	if (!option_find(line, key, text))
		return assumed;
	if (!parse_number(text, &value) || value < low || value > high)
		fail("%s=%s: give a number from %lu to %lu", key, text, low, high);
	return value;
}

int choice_index(const char *word, size_t length, const char *choices)
{
	for (int index = 0;; index++) {
		const char *end = strchr(choices, '|');
		size_t size = end ? (size_t)(end - choices) : strlen(choices);

		if (size == length && !strncmp(choices, word, size))
			return index;
		if (!end)
			return -1;
		choices = end + 1;
	}
}

unsigned option_choice(const char *line, const char *key, unsigned assumed, const char *choices)
{
	char text[OPTION_SIZE];
	int index;

	if (!option_find(line, key, text))
		return assumed;
	index = choice_index(text, strlen(text), choices);
	if (index < 0)
		fail("%s=%s: give one of %s", key, text, choices);
	return (unsigned)index;
}

void options_check(const char *line, const char *keys)
{
	const char *first = next_word(line, 0);
	size_t length = 0;

	for (const char *word = first; word; word = next_word(word, length)) {
		char text[OPTION_SIZE] = "";
		size_t key;

		length = word_length(word);
		key = key_length(word, length);
		if (key < length ? choice_index(word, key, keys) >= 0 : word == first)
			continue;
		memcpy(text, word, length < OPTION_SIZE ? length : OPTION_SIZE - 1);
		fail("unknown option \"%s\": give KEY=VALUE, where KEY is one of %s", text, keys);
	}
}

void first_word(const char *line, char *name, size_t size)
{
	const char *word = next_word(line, 0);
	size_t length = word ? word_length(word) : 0, used = 0;

	if (length && key_length(word, length) < length)
		length = 0;
	for (; length && *word != '.'; length--, word++) {
		if (*word == '/')
			used = 0;
		else if (used + 1 < size)
			name[used++] = *word;
	}
	name[used] = '\0';
}
