#include "test_fault.h"
#include "options.h"
#include "stacks.h"

static COLD u64 overflow_stack(volatile u64 *above, u64 depth)
{
	volatile u64 here[64];

	here[0] = above ? *above + depth : 0;
	return depth ? overflow_stack(here, depth - 1) + here[0] : 0;
}

static COLD void undefined_instruction(void)
{
	__asm__ volatile("ud2");
}

void test_fault(struct cpu *cpu)
{
	switch (options.test_fault) {
	case TEST_FAULT_ud:
		undefined_instruction();
		break;
	case TEST_FAULT_stack:
		overflow_stack(NULL, STACK_SIZE);
		break;
	case TEST_FAULT_exit:
		exit_unexpected(cpu, "the switch test_fault asked for it");
	default:
		break;
	}
}
