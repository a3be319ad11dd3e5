/*
 * Deferred reclamation, instantiated once per flavor of the C library, after body.h.
 *
 * Blocks come from the allocator that counts them for all contenders, and go back to it.
 */

#define BLOCK_WORDS 8

void *urcu_bench_block(void);
void urcu_bench_block_free(void *block);

struct headed_block {
	struct rcu_head head;
	uint64_t contents[BLOCK_WORDS - 2];
};

_Static_assert(sizeof(struct headed_block) == BLOCK_WORDS * sizeof(uint64_t), "a block is 64 bytes");

static inline void fill(uint64_t *contents, uint64_t words)
{
	for (uint64_t word = 0; word < words; word++)
		contents[word] = word;
}

static void free_headed_block(struct rcu_head *head)
{
	urcu_bench_block_free(head);
}

void SHIM(_call_retire)(uint64_t blocks)
{
	while (blocks-- != 0) {
		struct headed_block *block = urcu_bench_block();

		fill(block->contents, BLOCK_WORDS - 2);
		LIBRARY(_call_rcu)(&block->head, free_headed_block);
	}
}

void SHIM(_call_retire_reading)(uint64_t blocks)
{
	while (blocks-- != 0) {
		struct headed_block *block;

		LIBRARY(_read_lock)();
		block = urcu_bench_block();
		fill(block->contents, BLOCK_WORDS - 2);
		LIBRARY(_read_unlock)();
		LIBRARY(_call_rcu)(&block->head, free_headed_block);
	}
}

void SHIM(_call)(struct rcu_head *head, void (*callback)(struct rcu_head *))
{
	LIBRARY(_call_rcu)(head, callback);
}

void SHIM(_call_barrier)(void)
{
	LIBRARY(_barrier)();
}

int SHIM(_defer_begin)(void)
{
	return LIBRARY(_defer_register_thread)();
}

void SHIM(_defer_end)(void)
{
	LIBRARY(_defer_unregister_thread)();
}

void SHIM(_defer_retire)(uint64_t blocks)
{
	while (blocks-- != 0) {
		uint64_t *block = urcu_bench_block();

		fill(block, BLOCK_WORDS);
		LIBRARY(_defer_rcu)(urcu_bench_block_free, block);
	}
}

void SHIM(_defer_retire_reading)(uint64_t blocks)
{
	while (blocks-- != 0) {
		uint64_t *block;

		LIBRARY(_read_lock)();
		block = urcu_bench_block();
		fill(block, BLOCK_WORDS);
		LIBRARY(_read_unlock)();
		LIBRARY(_defer_rcu)(urcu_bench_block_free, block);
	}
}

void SHIM(_defer_barrier)(void)
{
	LIBRARY(_defer_barrier)();
}
