/* What L1's own operations cost: run without a guest, in plain loops for others to measure. */
#ifndef MINIVISOR_BENCH_H
#define MINIVISOR_BENCH_H

/* list is "cpuid:10000,vmread:500"; ends the run if it is malformed or names what there is not. */
void bench_run(const char *list);

#endif
