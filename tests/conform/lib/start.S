/* The images start as minivisor does, in 64-bit mode with the low 4 GiB mapped one to one. */
#define minivisor_main conform_main
#include "l1/minivisor/start.S"
