/*
 * Lists with RCU readers, instantiated once per flavor of the C library, after body.h and reclaim.h: the library's own
 * macros and inline functions, in loops like those of the Rust contenders.
 */

#include <pthread.h>
#include <stddef.h>
#include <urcu/rculist.h>
#include <urcu/rcuhlist.h>

/* Layouts shared with lists/mod.rs, whose raw lists are walked here. */
struct element {
	struct cds_list_head links;
	uint64_t value;
	uint64_t pad;
};

struct short_element {
	struct cds_hlist_node links;
	uint64_t value;
	uint64_t pad;
};

_Static_assert(sizeof(struct cds_list_head) == 16, "list head");
_Static_assert(offsetof(struct cds_list_head, next) == 0, "list head");
_Static_assert(offsetof(struct cds_list_head, prev) == 8, "list head");
_Static_assert(sizeof(struct cds_hlist_head) == 8, "hlist head");
_Static_assert(sizeof(struct cds_hlist_node) == 16, "hlist node");
_Static_assert(offsetof(struct cds_hlist_node, next) == 0, "hlist node");
_Static_assert(offsetof(struct cds_hlist_node, prev) == 8, "hlist node");

uint64_t SHIM(_list_walk)(struct cds_list_head *head, uint64_t blocks, uint64_t length)
{
	uint64_t sum = 0;

	for (uint64_t block = 0; block < blocks; block++) {
		for (uint64_t walk = 0; walk < length; walk++) {
			struct element *element;

			LIBRARY(_read_lock)();
			cds_list_for_each_entry_rcu(element, head, links)
				sum += element->value;
			LIBRARY(_read_unlock)();
		}
		LIBRARY(_quiescent_state)();
	}
	return sum;
}

uint64_t SHIM(_hlist_walk)(struct cds_hlist_head *head, uint64_t blocks, uint64_t length)
{
	uint64_t sum = 0;

	for (uint64_t block = 0; block < blocks; block++) {
		for (uint64_t walk = 0; walk < length; walk++) {
			struct short_element *element;

			LIBRARY(_read_lock)();
			cds_hlist_for_each_entry_rcu_2(element, head, links)
				sum += element->value;
			LIBRARY(_read_unlock)();
		}
		LIBRARY(_quiescent_state)();
	}
	return sum;
}

/* A list that is added to at its end and taken from at its beginning, under a mutex. */
struct standing {
	struct cds_list_head head;
	pthread_mutex_t lock;
};

struct listed_block {
	struct cds_list_head links;
	struct rcu_head head;
	uint64_t contents[BLOCK_WORDS - 4];
};

_Static_assert(sizeof(struct listed_block) == BLOCK_WORDS * sizeof(uint64_t), "a block is 64 bytes");

static void free_listed_block(struct rcu_head *head)
{
	urcu_bench_block_free(caa_container_of(head, struct listed_block, head));
}

static inline struct listed_block *new_listed_block(void)
{
	struct listed_block *block = urcu_bench_block();

	for (uint64_t word = 0; word < BLOCK_WORDS - 4; word++)
		block->contents[word] = 1;
	return block;
}

/* The list lives in memory that the caller gives, of at least this many bytes. */
_Static_assert(sizeof(struct standing) <= 256, "room for a standing list");

void SHIM(_standing_new)(struct standing *standing, uint64_t blocks)
{
	CDS_INIT_LIST_HEAD(&standing->head);
	pthread_mutex_init(&standing->lock, NULL);
	while (blocks-- != 0)
		cds_list_add_tail_rcu(&new_listed_block()->links, &standing->head);
}

void SHIM(_standing_free)(struct standing *standing)
{
	struct listed_block *block, *next;

	cds_list_for_each_entry_safe(block, next, &standing->head, links)
		urcu_bench_block_free(block);
	pthread_mutex_destroy(&standing->lock);
}

void SHIM(_standing_pairs)(struct standing *standing, uint64_t pairs)
{
	while (pairs-- != 0) {
		struct listed_block *block = new_listed_block();
		struct listed_block *oldest;

		pthread_mutex_lock(&standing->lock);
		cds_list_add_tail_rcu(&block->links, &standing->head);
		oldest = cds_list_first_entry(&standing->head, struct listed_block, links);
		cds_list_del_rcu(&oldest->links);
		pthread_mutex_unlock(&standing->lock);
		LIBRARY(_call_rcu)(&oldest->head, free_listed_block);
	}
}

/* How many walks met nothing but blocks as they were made, all of those that stood there at least once. */
uint64_t SHIM(_standing_walk)(struct standing *standing, uint64_t blocks, uint64_t length)
{
	uint64_t right = 0;

	for (uint64_t block = 0; block < blocks; block++) {
		for (uint64_t walk = 0; walk < length; walk++) {
			struct listed_block *element;
			uint64_t wrong = 0;

			LIBRARY(_read_lock)();
			cds_list_for_each_entry_rcu(element, &standing->head, links)
				wrong |= element->contents[0] ^ 1;
			LIBRARY(_read_unlock)();
			right += wrong == 0;
		}
		LIBRARY(_quiescent_state)();
	}
	return right;
}
