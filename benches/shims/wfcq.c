/*
 * The C library's wfcqueue, inlined into the loops that the suite `queue` measures. Items belong to the caller, who has the same
 * loops in Rust.
 */


#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <urcu/wfcqueue.h>

#define LINE 128

struct wfcq {
	struct cds_wfcq_head head __attribute__((aligned(LINE)));
	struct cds_wfcq_tail tail __attribute__((aligned(LINE)));
};

struct wfcq_item {
	struct cds_wfcq_node node;
	uint64_t value;
};

struct taken {
	uint64_t count;
	uint64_t sum;
};

struct wfcq *urcu_bench_wfcq_new(void)
{
	struct wfcq *queue = aligned_alloc(LINE, sizeof(*queue));

	if (queue)
		cds_wfcq_init(&queue->head, &queue->tail);
	return queue;
}

void urcu_bench_wfcq_free(struct wfcq *queue)
{
	cds_wfcq_destroy(&queue->head, &queue->tail);
	free(queue);
}

static inline __attribute__((always_inline)) struct wfcq_item *take_one(struct wfcq *queue, int locked)
{
	struct cds_wfcq_node *node;

	if (locked)
		node = cds_wfcq_dequeue_blocking(&queue->head, &queue->tail);
	else
		node = __cds_wfcq_dequeue_blocking(&queue->head, &queue->tail);
	return caa_container_of(node, struct wfcq_item, node);
}

static inline __attribute__((always_inline)) void put_one(struct wfcq *queue, struct wfcq_item *item, uint64_t value)
{
	cds_wfcq_node_init(&item->node);
	item->value = value;
	cds_wfcq_enqueue(&queue->head, &queue->tail, &item->node);
}

static inline __attribute__((always_inline)) uint64_t pairs(struct wfcq *queue, struct wfcq_item **spare, uint64_t count,
							     uint64_t first, int locked)
{
	struct wfcq_item *item = *spare;
	uint64_t sum = 0;

	while (count != 0) {
		put_one(queue, item, first++);
		item = take_one(queue, locked);
		sum += item->value;
		count--;
		__asm__ volatile("" : "+r"(count));
	}
	*spare = item;
	return sum;
}

uint64_t urcu_bench_wfcq_pairs(struct wfcq *queue, struct wfcq_item **spare, uint64_t count, uint64_t first)
{
	return pairs(queue, spare, count, first, 0);
}

uint64_t urcu_bench_wfcq_pairs_locked(struct wfcq *queue, struct wfcq_item **spare, uint64_t count, uint64_t first)
{
	return pairs(queue, spare, count, first, 1);
}

void urcu_bench_wfcq_put(struct wfcq *queue, struct wfcq_item *items, uint64_t count, uint64_t first)
{
	while (count != 0) {
		put_one(queue, items++, first++);
		count--;
		__asm__ volatile("" : "+r"(count));
	}
}

static inline __attribute__((always_inline)) struct taken take(struct wfcq *queue, uint64_t most, int locked)
{
	struct taken taken = { 0, 0 };

	while (taken.count != most) {
		struct wfcq_item *item = take_one(queue, locked);

		if (!item)
			break;
		taken.sum += item->value;
		taken.count++;
	}
	return taken;
}

struct taken urcu_bench_wfcq_take(struct wfcq *queue, uint64_t most)
{
	return take(queue, most, 0);
}

struct taken urcu_bench_wfcq_take_locked(struct wfcq *queue, uint64_t most)
{
	return take(queue, most, 1);
}

struct taken urcu_bench_wfcq_splice(struct wfcq *queue, int locked)
{
	struct taken taken = { 0, 0 };
	struct cds_wfcq_node *node, *next;
	struct __cds_wfcq_head head;
	struct cds_wfcq_tail tail;

	__cds_wfcq_init(&head, &tail);
	if (locked)
		cds_wfcq_splice_blocking((struct cds_wfcq_head *)&head, &tail, &queue->head, &queue->tail);
	else
		__cds_wfcq_splice_blocking(&head, &tail, &queue->head, &queue->tail);
	__cds_wfcq_for_each_blocking_safe(&head, &tail, node, next) {
		taken.sum += caa_container_of(node, struct wfcq_item, node)->value;
		taken.count++;
	}
	return taken;
}
