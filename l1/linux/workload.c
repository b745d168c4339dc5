/*
 * workload spawn|pipe|memory|timers COUNT: what a script cannot do in a measured way. Each prints one line that is the
 * same in every run on every machine, and fails if something went wrong.
 */
#include "types.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define BLOCK_PAGES 1024u
#define PIPE_WORD 0x5a5a0000u
#define INTERVAL_MICROSECONDS 1000

static NORETURN void fail(const char *what)
{
	printf("workload: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* fork, exec and wait, one after the other. */
static void spawn(unsigned count)
{
	unsigned well = 0;

	for (unsigned i = 0; i < count; i++) {
		pid_t child = fork();
		int status;

		if (child < 0)
			fail("fork");
		if (!child) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(127);
		}
		if (waitpid(child, &status, 0) != child)
			fail("waitpid");
		well += status == 0;
	}
	printf("spawn: %u processes, %u ended well\n", count, well);
	exit(well != count);
}

static bool move(int from, int to, u32 *word)
{
	return read(from, word, sizeof(*word)) == sizeof(*word) && (++*word, true) &&
	       write(to, word, sizeof(*word)) == sizeof(*word);
}

/* A word to another process and back, and one more than before each time. */
static void pipe_words(unsigned count)
{
	u32 word = PIPE_WORD;
	int there[2], back[2];
	pid_t child;

	if (pipe(there) || pipe(back))
		fail("pipe");
	child = fork();
	if (child < 0)
		fail("fork");
	if (!child) {
		for (unsigned i = 0; i < count; i++)
			if (!move(there[0], back[1], &word))
				_exit(1);
		_exit(0);
	}
	for (unsigned i = 0; i < count; i++)
		if (write(there[1], &word, sizeof(word)) != sizeof(word) ||
		    read(back[0], &word, sizeof(word)) != sizeof(word))
			fail("pipe");
	printf("pipe: %u words there and back, %u of them changed on the way\n", count, word - PIPE_WORD);
	exit(word - PIPE_WORD != count);
}

/* Fresh pages, written and read back, and given back: a page fault each. */
static void touch_memory(unsigned count)
{
	u64 sum = 0;

	for (unsigned round = 0; round < count; round++) {
		u64 *block = mmap(NULL, BLOCK_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (block == MAP_FAILED || madvise(block, BLOCK_PAGES * PAGE, MADV_NOHUGEPAGE))
			fail("mmap");
		for (unsigned page = 0; page < BLOCK_PAGES; page++)
			block[page * (PAGE / sizeof(u64))] = round * BLOCK_PAGES + page;
		for (unsigned page = 0; page < BLOCK_PAGES; page++)
			sum = sum * 31 + block[page * (PAGE / sizeof(u64))];
		munmap(block, BLOCK_PAGES * PAGE);
	}
	printf("memory: %u pages touched, checksum %016lx\n", count * BLOCK_PAGES, sum);
	exit(0);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
	(void)number;
	alarms++;
}

/* Half of them by sleeping, half by signals. */
static void timers(unsigned count)
{
	struct itimerval interval = { { 0, INTERVAL_MICROSECONDS }, { 0, INTERVAL_MICROSECONDS } };
	struct timespec sleep = { 0, INTERVAL_MICROSECONDS * 1000 };
	unsigned slept = 0;

	for (unsigned i = 0; i < count; i++)
		slept += !nanosleep(&sleep, NULL);
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &interval, NULL);
	while (alarms < (int)count)
		pause();
	printf("timers: slept %u times, alarmed %u times\n", slept, count);
	exit(slept != count);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(unsigned count);
	} parts[] = { { "spawn", spawn }, { "pipe", pipe_words }, { "memory", touch_memory }, { "timers", timers } };

	for (size_t i = 0; argc == 3 && i < ARRAY_SIZE(parts); i++)
		if (!strcmp(argv[1], parts[i].name))
			parts[i].run((unsigned)strtoul(argv[2], NULL, 10));
	fprintf(stderr, "usage: workload spawn|pipe|memory|timers COUNT\n");
	return 2;
}
