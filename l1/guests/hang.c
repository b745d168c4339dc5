/* hang: never ends; for tests of the time limit */
#include "runtime/runtime.h"

bool payload(u64 count)
{
	report("hang: count=%lu makes no difference", count);
	for (;;)
		cpu_relax();
}
