# Turtles: L0, the L1 and L2 images, the ROM and its maker, host tests. One file, no recursion.
BUILD ?= build
CC ?= gcc
HOSTCC ?= $(CC)

WARN := -Wall -Wextra -Werror -Wshadow -Wundef -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-align -Wwrite-strings -Wvla -Wimplicit-fallthrough
INCLUDE := -Iinclude -Ilib -I. -I$(BUILD)/generated
COMMON := -std=gnu11 -O2 -g $(WARN) $(INCLUDE) -MMD -MP
# Code that runs without an operating system; no FPU or vector registers, which belong to the guests.
FREESTANDING := $(COMMON) -ffreestanding -nostdlib -fno-pic -no-pie -mno-red-zone -mgeneral-regs-only \
	-fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -fno-strict-aliasing -m64
LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments

PURE_SRC := $(wildcard vmcs_shadow/*.c ept_merge/*.c)
LIB_SRC := $(wildcard lib/*.c)
L0_SRC := $(wildcard l0/*.c l0/*.S l0/boot/*.c l0/boot/*.S)
MINIVISOR_SRC := $(wildcard l1/minivisor/*.c l1/minivisor/*.S)
GUEST_SRC := $(wildcard l1/guests/*.c)

.DEFAULT_GOAL := all
