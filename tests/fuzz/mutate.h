/* A CPU and a vmcs12 as the input has them: near enough to what is valid that most rules are reached. */
#ifndef TURTLES_MUTATE_H
#define TURTLES_MUTATE_H

#include "fuzz.h"
#include "vmx_fake.h"

/* A host that lacks some of what fake_host() has, but nothing that L0 cannot do without. */
struct vmx_capabilities mutate_host(struct fuzz_input *input);

/* Any field, those with an influence on entries more often; a value for it, made of the one it has. */
enum vmcs_field mutate_pick(struct fuzz_input *input);
u64 mutate_value(struct fuzz_input *input, enum vmcs_field field, u64 value);
/* A number of changes to fields; at times controls that L1 is not offered are then withdrawn. */
void mutate_vmcs12(struct fuzz_input *input, struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12);

#endif
