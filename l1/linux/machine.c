/* machine tsc | machine end STATUS: what a script cannot do, read the time-stamp counter and end the machine. */
#include "ports.h"
#include "types.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <termios.h>
#include <unistd.h>
#include <x86intrin.h>

static void end(int status)
{
	tcdrain(STDOUT_FILENO); /* the machine takes with it what it has not sent yet */
	if (iopl(3)) {
		perror("machine: ports need root's rights: iopl");
		exit(2);
	}
	outb((unsigned char)status, TURTLES_PORT_EXIT);
	for (const char *byte = TURTLES_SHUTDOWN_BYTES; *byte; byte++)
		outb((unsigned char)*byte, TURTLES_PORT_SHUTDOWN);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "tsc")) {
		printf("%llu\n", (unsigned long long)__rdtsc());
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "end"))
		end(atoi(argv[2]));
	fprintf(stderr, "usage: machine tsc | machine end STATUS\n");
	return 2;
}
