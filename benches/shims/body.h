/*
 * The measured loops, instantiated once per flavor of the C library. The including file has
 * included that flavor's header with _LGPL_SOURCE, so its read side is inlined here.
 *
 * FLAVOR: the flavor as it appears in the library's function names.
 */

#include <stdint.h>

#define PASTE_(a, b, c) a##b##c
#define PASTE(a, b, c) PASTE_(a, b, c)
#define LIBRARY(operation) PASTE(urcu_, FLAVOR, operation)
#define SHIM(operation) PASTE(urcu_bench_, FLAVOR, operation)

/* Layouts shared with workload.rs. */
struct node {
	uint64_t value;
};

struct slot {
	struct node *pointer;
};

/* Lock, dereference, read one field, unlock. */
static inline __attribute__((always_inline)) uint64_t one_section(struct slot *slot)
{
	uint64_t value;

	LIBRARY(_read_lock)();
	value = __atomic_load_n(&rcu_dereference(slot->pointer)->value, __ATOMIC_RELAXED);
	LIBRARY(_read_unlock)();
	return value;
}

/* The inner loop; the counter is hidden from the compiler, as in the Rust loops, against unrolling. */
static inline __attribute__((always_inline)) uint64_t sum_of(struct slot *slot, uint64_t length)
{
	uint64_t sum = 0;

	while (length != 0) {
		sum += one_section(slot);
		length--;
		__asm__ volatile("" : "+r"(length));
	}
	return sum;
}

uint64_t SHIM(_flat)(struct slot *slot, uint64_t blocks, uint64_t length)
{
	uint64_t sum = 0;

	for (uint64_t block = 0; block < blocks; block++) {
		sum += sum_of(slot, length);
		LIBRARY(_quiescent_state)();
	}
	return sum;
}

uint64_t SHIM(_nested)(struct slot *slot, uint64_t blocks, uint64_t length)
{
	uint64_t sum = 0;

	for (uint64_t block = 0; block < blocks; block++) {
		LIBRARY(_read_lock)();
		sum += sum_of(slot, length);
		LIBRARY(_read_unlock)();
		LIBRARY(_quiescent_state)();
	}
	return sum;
}

/* 0 for success, as the signature that all contenders share demands; the library itself aborts. */
int SHIM(_register)(void)
{
	LIBRARY(_register_thread)();
	return 0;
}

void SHIM(_unregister)(void)
{
	LIBRARY(_unregister_thread)();
}

void SHIM(_offline)(void)
{
	LIBRARY(_thread_offline)();
}

void SHIM(_online)(void)
{
	LIBRARY(_thread_online)();
}

void SHIM(_quiescent)(void)
{
	LIBRARY(_quiescent_state)();
}

void SHIM(_lock)(void)
{
	LIBRARY(_read_lock)();
}

void SHIM(_unlock)(void)
{
	LIBRARY(_read_unlock)();
}

void SHIM(_synchronize)(void)
{
	LIBRARY(_synchronize_rcu)();
}
