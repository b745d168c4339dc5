/* The "key=value" words of a command line. A first word without '=' is a name and no option. */
#ifndef MINIVISOR_OPTIONS_H
#define MINIVISOR_OPTIONS_H

#include "types.h"

#define OPTION_SIZE 256

/* Copy the value of key; false if the line has no such word. Ends the run if it has OPTION_SIZE or more. */
bool option_find(const char *line, const char *key, char value[OPTION_SIZE]);

/* A decimal number within bounds, or what is assumed without one. Ends the run on anything else. */
u64 option_number(const char *line, const char *key, u64 assumed, u64 low, u64 high);

/* Copy the value of key to text, which is left as it is without one. Ends the run if it has size or more. */
void option_text(const char *line, const char *key, char *text, size_t size);

/* The index of the value among choices ("off|on"), or what is assumed. Ends the run on anything else. */
unsigned option_choice(const char *line, const char *key, unsigned assumed, const char *choices);

/* End the run on a word that is none of the keys ("quantum|ept|vpid"). */
void options_check(const char *line, const char *keys);

/* The number in text up to the NUL; false if it is no number or does not fit. */
bool parse_number(const char *text, u64 *value);

/* Is word, of length, one of the choices? Its index, or -1. */
int choice_index(const char *word, size_t length, const char *choices);

/* Copy the first word less folders before it and a suffix behind; empty if it is an option. */
void first_word(const char *line, char *name, size_t size);

#endif
