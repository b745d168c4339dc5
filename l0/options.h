/* The boot switches; options.def is their table. */
#ifndef TURTLES_OPTIONS_H
#define TURTLES_OPTIONS_H

#include "types.h"

/* One value each: 1 or 0 for on|off, the number of a range, the place in a choice. */
struct options {
#define OPTION(name, standard, values, meaning) u32 name;
#include "options.def"
#undef OPTION
};

enum { L1_module, L1_disk, L1_cdrom };
enum { SHADOW_FIELDS_fixed, SHADOW_FIELDS_all, SHADOW_FIELDS_learned };
enum { ICR_SWITCH_auto, ICR_SWITCH_intercept, ICR_SWITCH_pass };
enum { LOG_com2, LOG_com1 };
enum { TICK_cycle, TICK_instruction };
enum { TEST_FAULT_none, TEST_FAULT_ud, TEST_FAULT_stack, TEST_FAULT_exit };

extern struct options options;

/*
 * Take name=value pairs from L0's command line; an unknown name or value stops with one clear line. A word without
 * a "=" is the image's own name, which some loaders put first.
 */
void options_parse(const char *command_line);

/* Print every switch and its value on the log, as run records. */
void options_print(void);

#endif
