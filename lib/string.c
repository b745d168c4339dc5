/*
 * Memory and string functions. Bulk moves are eight bytes at a time: an emulated CPU prices a REP
 * instruction by its iterations, and a real one is as quick either way.
 */
#include "string.h"
#include "types.h"

static inline void *copy_upwards(void *to, const void *from, size_t size)
{
	void *end;
	size_t words = size / 8, bytes = size % 8;

	__asm__ volatile("rep movsq; mov %3, %%rcx; rep movsb"
			 : "=&D"(end), "+S"(from), "+c"(words)
			 : "r"(bytes), "0"(to)
			 : "memory");
	return to;
}

static inline void copy_downwards(void *to, const void *from, size_t size)
{
	u8 *to_last = (u8 *)to + size - 1;
	const u8 *from_last = (const u8 *)from + size - 1;
	size_t words = size / 8, bytes = size % 8;

	__asm__ volatile("std; rep movsb; sub $7, %0; sub $7, %1; mov %3, %%rcx; rep movsq; cld"
			 : "+D"(to_last), "+S"(from_last), "+c"(bytes)
			 : "r"(words)
			 : "cc", "memory");
}

void *memcpy(void *to, const void *from, size_t size)
{
	return copy_upwards(to, from, size);
}

void *memmove(void *to, const void *from, size_t size)
{
	if ((uintptr_t)to - (uintptr_t)from < size)
		copy_downwards(to, from, size);
	else
		copy_upwards(to, from, size);
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	void *end;
	size_t words = size / 8, bytes = size % 8;

	__asm__ volatile("rep stosq; mov %2, %%rcx; rep stosb"
			 : "=&D"(end), "+c"(words)
			 : "r"(bytes), "a"((u8)byte * 0x0101010101010101ull), "0"(to)
			 : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const u8 *x = a, *y = b;

	for (size_t i = 0; i < size; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

size_t strlen(const char *s)
{
	const char *end = s;

	while (*end)
		end++;
	return (size_t)(end - s);
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (u8)*a - (u8)*b;
}

int strncmp(const char *a, const char *b, size_t size)
{
	for (; size; size--, a++, b++)
		if (*a != *b || !*a)
			return (u8)*a - (u8)*b;
	return 0;
}

char *strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)(uintptr_t)s;
		if (!*s)
			return NULL;
	}
}
