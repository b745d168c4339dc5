/* server: one long-lived program that works on objects in its memory, and collects garbage now and then */
/*
 * Exits with count=N: external_interrupt T, vmcall T, T being N / 36 rounded up; io_instruction T / 4 + C + 1, C
 * being the characters printed; cpuid 2; ept_violation 132, for the pages that it uses.
 */
#include "runtime/process.h"

/*
 * A stand-in for a Java server: transactions on a heap of objects, few system calls, page faults only as the heap is
 * first used, a pass over all of it for each collection. How much of each: experiments/turtles-osdi10/README.md.
 */
#define HEAP_PAGES 128
#define OBJECTS_PER_PAGE 16
#define OBJECTS (HEAP_PAGES * OBJECTS_PER_PAGE)
#define UPDATES 64
#define TRANSACTIONS_PER_TICK 36
#define TRANSACTIONS_PER_COLLECTION 128

#define MULTIPLIER 6364136223846793005ull
#define INCREMENT 1442695040888963407ull

struct object {
	u64 updates, age, rest[PAGE_SIZE / OBJECTS_PER_PAGE / 8 - 2];
};

static struct object *const heap = (struct object *)PROGRAM_MEMORY;

static void transact(u64 *random)
{
	for (u64 i = 0; i < UPDATES; i++) {
		*random = *random * MULTIPLIER + INCREMENT;
		heap[*random >> 32 & (OBJECTS - 1)].updates++;
	}
}

static void collect(void)
{
	for (u64 i = 0; i < OBJECTS; i++)
		heap[i].age++;
}

/* Everything that was done shows in the heap. */
static bool is_right(u64 transactions, u64 collections)
{
	u64 updates = 0, ages = 0;

	for (u64 i = 0; i < OBJECTS; i++) {
		updates += heap[i].updates;
		ages += heap[i].age;
	}
	return updates == transactions * UPDATES && ages == collections * OBJECTS;
}

static u64 serve(u64 transactions)
{
	u64 random = 42, collections = 0;

	for (u64 i = 0; i < transactions; i++) {
		if (i % TRANSACTIONS_PER_COLLECTION == 0) {
			collect();
			collections++;
		}
		if (i % TRANSACTIONS_PER_TICK == 0) {
			system_call(SYSTEM_CALL_write, PROGRAM_MEMORY);
			tick();
		}
		transact(&random);
	}
	return collections;
}

bool payload(u64 count)
{
	struct process_counts did;
	u64 collections, ticks;
	bool right;

	process_init();
	if (!process_exec()) {
		report("server: no memory; raise memory=");
		return false;
	}
	/* The heap is not new to the hypervisors any more when the measuring begins. */
	collect();
	measure_begin();
	collections = serve(count);
	ticks = measure_end();
	right = is_right(count, collections + 1);
	did = process_counts();
	process_exit();
	report("server: %lu transactions, %lu page faults, %lu system calls, %lu kicks, %s", count, did.page_faults,
	       did.system_calls, did.kicks, right ? "all there" : "some lost");
	if (!on_minivisor())
		report("server: %lu ticks", ticks);
	return right;
}
