/*
 * The C library's rculfqueue, inlined into the loops that the suite `queue` measures, instantiated once per flavor after body.h.
 * Items belong to the caller, who waits for grace periods before they are used again.
 */

#include <stdlib.h>
#include <urcu/rculfqueue.h>

struct lfq_item {
	struct cds_lfq_node_rcu node;
	uint64_t value;
};

#ifndef URCU_BENCH_TAKEN
#define URCU_BENCH_TAKEN
struct taken {
	uint64_t count;
	uint64_t sum;
};
#endif

struct cds_lfq_queue_rcu *SHIM(_lfq_new)(void)
{
	struct cds_lfq_queue_rcu *queue = aligned_alloc(128, 128);

	if (queue)
		cds_lfq_init_rcu(queue, LIBRARY(_call_rcu));
	return queue;
}

int SHIM(_lfq_free)(struct cds_lfq_queue_rcu *queue)
{
	int error = cds_lfq_destroy_rcu(queue);

	if (!error)
		free(queue);
	return error;
}

static inline __attribute__((always_inline)) void lfq_put_one(struct cds_lfq_queue_rcu *queue, struct lfq_item *item,
							       uint64_t value)
{
	cds_lfq_node_init_rcu(&item->node);
	item->value = value;
	LIBRARY(_read_lock)();
	cds_lfq_enqueue_rcu(queue, &item->node);
	LIBRARY(_read_unlock)();
}

static inline __attribute__((always_inline)) struct lfq_item *lfq_take_one(struct cds_lfq_queue_rcu *queue)
{
	struct cds_lfq_node_rcu *node;

	LIBRARY(_read_lock)();
	node = cds_lfq_dequeue_rcu(queue);
	LIBRARY(_read_unlock)();
	return node ? caa_container_of(node, struct lfq_item, node) : NULL;
}

/* Enqueues the items one by one and puts the dequeued ones in their place. */
uint64_t SHIM(_lfq_pairs)(struct cds_lfq_queue_rcu *queue, struct lfq_item **items, uint64_t count, uint64_t first)
{
	uint64_t sum = 0;

	while (count != 0) {
		lfq_put_one(queue, *items, first++);
		*items = lfq_take_one(queue);
		sum += (*items++)->value;
		count--;
		__asm__ volatile("" : "+r"(count));
	}
	return sum;
}

void SHIM(_lfq_put)(struct cds_lfq_queue_rcu *queue, struct lfq_item **items, uint64_t count, uint64_t first)
{
	while (count != 0) {
		lfq_put_one(queue, *items++, first++);
		count--;
		__asm__ volatile("" : "+r"(count));
	}
}

struct taken SHIM(_lfq_take)(struct cds_lfq_queue_rcu *queue, struct lfq_item **items, uint64_t most)
{
	struct taken taken = { 0, 0 };

	while (taken.count != most) {
		struct lfq_item *item = lfq_take_one(queue);

		if (!item)
			break;
		*items++ = item;
		taken.sum += item->value;
		taken.count++;
	}
	return taken;
}
