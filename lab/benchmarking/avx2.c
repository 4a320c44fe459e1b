/* Loaded before every other library (LD_PRELOAD), it makes a processor look as if AVX2 were the widest it had.

Libraries choose their kernels by the CPUID instruction. Linux lets a thread forbid it to itself (arch_prctl(2),
ARCH_SET_CPUID): each use then raises SIGSEGV, and the handler answers what the processor answers, without the bits of
what is to be hidden. Threads and forked processes inherit this; programs that are started load this file again.
Bits: Intel's Software Developer's Manual, volume 2A, CPUID, leaf 7. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
#define BIT(number) (1u << (number))

/* Foundation, DQ, IFMA, PF, ER, CD, BW, VL */
static const unsigned AVX512_EBX = BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31);
/* VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ */
static const unsigned AVX512_ECX = BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14);
/* 4VNNIW, 4FMAPS, VP2INTERSECT, AMX-BF16, AVX512-FP16, AMX-TILE, AMX-INT8 */
static const unsigned AVX512_AMX_EDX = BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25);
/* Subleaf 1: AVX-VNNI, AVX512-BF16, AMX-FP16, AVX-IFMA */
static const unsigned LATER_EAX = BIT(4) | BIT(5) | BIT(21) | BIT(23);
/* Subleaf 1: AVX-VNNI-INT8, AVX-NE-CONVERT, AMX-COMPLEX, AVX-VNNI-INT16, AVX10 */
static const unsigned LATER_EDX = BIT(4) | BIT(5) | BIT(8) | BIT(10) | BIT(19);

static int allow(int yes)
{
    return (int)syscall(SYS_arch_prctl, ARCH_SET_CPUID, yes);
}

static void answer(int number, siginfo_t *about, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *instruction = (const unsigned char *)registers[REG_RIP];
    if (about->si_code != SI_KERNEL || instruction[0] != 0x0f || instruction[1] != 0xa2) {
        signal(number, SIG_DFL); /* a fault of the program's own: it happens again, and ends it */
        return;
    }
    unsigned leaf = (unsigned)registers[REG_RAX], subleaf = (unsigned)registers[REG_RCX], a, b, c, d;
    allow(1);
    __cpuid_count(leaf, subleaf, a, b, c, d);
    allow(0);
    if (leaf == 7 && subleaf == 0) {
        b &= ~AVX512_EBX;
        c &= ~AVX512_ECX;
        d &= ~AVX512_AMX_EDX;
    } else if (leaf == 7 && subleaf == 1) {
        a &= ~LATER_EAX;
        d &= ~LATER_EDX;
    }
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void begin(void)
{
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};
    if (sigaction(SIGSEGV, &action, NULL) != 0 || allow(0) != 0) {
        fputs("benchmark.py: this processor, or its system, can't be held to AVX2\n", stderr);
        _exit(3);
    }
}
