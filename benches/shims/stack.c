/*
 * The loops of the suite `stack` over the C library's stacks, whose functions are inlined here.
 *
 * Elements are the caller's; each member of a team keeps those it does not have in the stack in an array.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <urcu/lfstack.h>
#include <urcu/wfstack.h>

/* Layouts shared with stacks/raw.rs. */
struct element {
	void *node;
	uint64_t value;
};

struct member {
	struct element **own;
	uint64_t count;
};

struct tally {
	uint64_t popped;
	uint64_t sum;
};

#define ELEMENT(pointer) ((struct element *)(pointer))

static inline void lfs_node(struct element *element)
{
	cds_lfs_node_init((struct cds_lfs_node *)&element->node);
}

static inline void wfs_node(struct element *element)
{
	cds_wfs_node_init((struct cds_wfs_node *)&element->node);
}

/* Push, pop, pop_all and the walk of each pair of stack and remedy. */
#define lfs_push(stack, element) cds_lfs_push(stack, (struct cds_lfs_node *)&(element)->node)
#define wfs_push(stack, element) cds_wfs_push(stack, (struct cds_wfs_node *)&(element)->node)

#define lfs_single_pop(stack) __cds_lfs_pop(stack)
#define lfs_locked_pop(stack) cds_lfs_pop_blocking(stack)
#define wfs_single_pop(stack) __cds_wfs_pop_blocking(stack)
#define wfs_locked_pop(stack) cds_wfs_pop_blocking(stack)

#define lfs_single_pop_all(stack) __cds_lfs_pop_all(stack)
#define lfs_locked_pop_all(stack) cds_lfs_pop_all_blocking(stack)
#define wfs_single_pop_all(stack) __cds_wfs_pop_all(stack)
#define wfs_locked_pop_all(stack) cds_wfs_pop_all_blocking(stack)

#define lfs_walk(head, node, next) \
	struct cds_lfs_node *node, *next; \
	cds_lfs_for_each_safe(head, node, next)
#define wfs_walk(head, node, next) \
	struct cds_wfs_node *node, *next; \
	cds_wfs_for_each_blocking_safe(head, node, next)

#define LOOPS(kind, remedy, stack_type, head_type) \
	static inline __attribute__((always_inline)) void kind##_##remedy##_push_one(stack_type *stack, \
			struct member *member, uint64_t value) \
	{ \
		struct element *element = member->own[--member->count]; \
\
		element->value = value; \
		kind##_node(element); \
		kind##_push(stack, element); \
	} \
\
	static inline __attribute__((always_inline)) void kind##_##remedy##_pop_one(stack_type *stack, \
			struct member *member, struct tally *tally) \
	{ \
		struct element *element = ELEMENT(kind##_##remedy##_pop(stack)); \
\
		if (element) { \
			tally->popped++; \
			tally->sum += element->value; \
			member->own[member->count++] = element; \
		} \
	} \
\
	void urcu_bench_##kind##_##remedy##_bursts(stack_type *stack, struct member *member, uint64_t bursts, \
			uint64_t length, struct tally *tally) \
	{ \
		for (uint64_t burst = 0; burst < bursts; burst++) { \
			for (uint64_t value = 0; value < length; value++) \
				kind##_##remedy##_push_one(stack, member, value); \
			for (uint64_t value = 0; value < length; value++) \
				kind##_##remedy##_pop_one(stack, member, tally); \
		} \
	} \
\
	void urcu_bench_##kind##_##remedy##_pairs(stack_type *stack, struct member *member, uint64_t pairs, \
			struct tally *tally) \
	{ \
		for (uint64_t value = 0; value < pairs; value++) { \
			kind##_##remedy##_push_one(stack, member, value); \
			kind##_##remedy##_pop_one(stack, member, tally); \
			__asm__ volatile("" : "+r"(value)); \
		} \
	} \
\
	void urcu_bench_##kind##_##remedy##_put(stack_type *stack, struct member *member, uint64_t length) \
	{ \
		for (uint64_t value = 0; value < length; value++) \
			kind##_##remedy##_push_one(stack, member, value); \
	} \
\
	void urcu_bench_##kind##_##remedy##_drain(stack_type *stack, struct member *member, uint64_t length, \
			struct tally *tally) \
	{ \
		for (uint64_t value = 0; value < length; value++) \
			kind##_##remedy##_pop_one(stack, member, tally); \
	} \
\
	void urcu_bench_##kind##_##remedy##_pop_alls(stack_type *stack, struct member *member, uint64_t bursts, \
			uint64_t length, struct tally *tally) \
	{ \
		for (uint64_t burst = 0; burst < bursts; burst++) { \
			for (uint64_t value = 0; value < length; value++) \
				kind##_##remedy##_push_one(stack, member, value); \
			head_type *head = kind##_##remedy##_pop_all(stack); \
			kind##_walk(head, node, next) { \
				tally->popped++; \
				tally->sum += ELEMENT(node)->value; \
				member->own[member->count++] = ELEMENT(node); \
			} \
		} \
	}

LOOPS(lfs, single, struct __cds_lfs_stack, struct cds_lfs_head)
LOOPS(lfs, locked, struct cds_lfs_stack, struct cds_lfs_head)
LOOPS(wfs, single, struct __cds_wfs_stack, struct cds_wfs_head)
LOOPS(wfs, locked, struct cds_wfs_stack, struct cds_wfs_head)

/* Room for any of the stacks, initialised as the one that is asked for. */
void *urcu_bench_lfs_single_new(void)
{
	struct __cds_lfs_stack *stack = aligned_alloc(128, 128);

	__cds_lfs_init(stack);
	return stack;
}

void *urcu_bench_lfs_locked_new(void)
{
	struct cds_lfs_stack *stack = aligned_alloc(128, 128);

	cds_lfs_init(stack);
	return stack;
}

void *urcu_bench_wfs_single_new(void)
{
	struct __cds_wfs_stack *stack = aligned_alloc(128, 128);

	__cds_wfs_init(stack);
	return stack;
}

void *urcu_bench_wfs_locked_new(void)
{
	struct cds_wfs_stack *stack = aligned_alloc(128, 128);

	cds_wfs_init(stack);
	return stack;
}

void urcu_bench_stack_free(void *stack)
{
	free(stack);
}
