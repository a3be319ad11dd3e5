/*
 * Pops inside sections, instantiated once per flavor of the C library, after reclaim.h.
 *
 * Each element is a block of 64 bytes, allocated for its push and freed by call_rcu after its pop.
 */

#include <urcu/lfstack.h>

struct rcu_element {
	struct cds_lfs_node node;
	uint64_t value;
	struct rcu_head head;
	uint64_t room[4];
};

_Static_assert(sizeof(struct rcu_element) == BLOCK_WORDS * sizeof(uint64_t), "a block is 64 bytes");

static void free_rcu_element(struct rcu_head *head)
{
	urcu_bench_block_free(caa_container_of(head, struct rcu_element, head));
}

/* The sum of the values that were popped. */
uint64_t SHIM(_stack_pairs)(struct __cds_lfs_stack *stack, uint64_t pairs)
{
	uint64_t sum = 0;

	for (uint64_t value = 0; value < pairs; value++) {
		struct rcu_element *element = urcu_bench_block();
		struct cds_lfs_node *node;

		cds_lfs_node_init(&element->node);
		element->value = value;
		cds_lfs_push(stack, &element->node);
		LIBRARY(_read_lock)();
		node = __cds_lfs_pop(stack);
		LIBRARY(_read_unlock)();
		if (node) {
			element = caa_container_of(node, struct rcu_element, node);
			sum += element->value;
			LIBRARY(_call_rcu)(&element->head, free_rcu_element);
		}
	}
	LIBRARY(_quiescent_state)();
	return sum;
}
