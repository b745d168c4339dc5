/* Hardware task switches of L1, which always exit: L0 makes them in the CPU's place. SDM "Task Management". */
#ifndef TURTLES_L1_TASK_H
#define TURTLES_L1_TASK_H

struct cpu;

/* The exit of a task switch: the new task runs next, or L1 gets the fault that the CPU would have raised. */
void l1_task_switch_exit(struct cpu *cpu);

#endif
