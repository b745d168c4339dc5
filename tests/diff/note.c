#include "note.h"
#include "print.h"

#define FACTOR 0x2545f4914f6cdd1dull

static u64 sum;
static bool full;

void note_start(bool in_full)
{
	sum = 0;
	full = in_full;
}

static u64 mix(u64 with, u64 value)
{
	with = (with ^ value) * FACTOR;
	return with ^ with >> 29;
}

void note(const char *name, u64 value)
{
	sum = mix(sum, value);
	if (full)
		print("    %s=%lx\n", name, value);
}

void note_memory(const char *name, const void *memory, size_t bytes)
{
	const u64 *words = memory;
	u64 own = 0;

	for (size_t i = 0; i < bytes / sizeof(*words); i++)
		own = (own << 7 | own >> 57) + words[i];
	note(name, own);
}

void tell(const char *format, ...)
{
	va_list args;

	if (!full)
		return;
	va_start(args, format);
	vprint(format, args);
	va_end(args);
}

u64 note_sum(void)
{
	return sum;
}
