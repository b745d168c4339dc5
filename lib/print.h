/* Formatted output for freestanding images: %d %u %x %lu %lx %llu %llx %s %c %p %%, width, '0' and '-'. */
#ifndef TURTLES_PRINT_H
#define TURTLES_PRINT_H

#include "types.h"
#include <stdarg.h>

/* As in C: at most size bytes with the closing NUL; returns the length it would have had. */
int vsnprintf(char *buffer, size_t size, const char *format, va_list args);
int snprintf(char *buffer, size_t size, const char *format, ...) PRINTF_LIKE(3, 4);

/* Where print() goes; set once by each image's start-up. */
void print_to_port(u16 serial_port);
void print(const char *format, ...) PRINTF_LIKE(1, 2);
void vprint(const char *format, va_list args);

#endif
