/*
 * The C library's hash table: u64 -> u64, with the loops of the suite `map` around it. The
 * flavor's read side is inlined; the table's functions are calls into the library, and it calls the
 * comparison through a pointer: its interface allows nothing else.
 */

#include <urcu/urcu-memb.h>
#include <urcu/rculfhash.h>

#include <stdint.h>
#include <stdlib.h>
#include <time.h>

/* In the order that the keys' cache line is best used. */
struct entry {
	struct cds_lfht_node node;
	uint64_t key;
	uint64_t value;
	struct rcu_head head;
};

/* One thread's; layout shared with raw.rs. */
struct session {
	struct cds_lfht *table;
	uint64_t random;
	struct entry *spare;
};

static inline uint64_t next_random(struct session *session)
{
	uint64_t mixed = session->random += 0x9E3779B97F4A7C15;

	mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
	mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
	return mixed ^ (mixed >> 31);
}

/* Below `range`. */
static inline uint64_t scale(uint64_t random, uint64_t range)
{
	return (uint64_t)(((unsigned __int128)random * range) >> 64);
}

static inline unsigned long hash_of(uint64_t key)
{
	key ^= key >> 33;
	key *= 0xFF51AFD7ED558CCD;
	key ^= key >> 33;
	key *= 0xC4CEB9FE1A85EC53;
	return key ^ (key >> 33);
}

static int matches(struct cds_lfht_node *node, const void *key)
{
	return caa_container_of(node, struct entry, node)->key == *(const uint64_t *)key;
}

static void free_entry(struct rcu_head *head)
{
	free(caa_container_of(head, struct entry, head));
}

static struct entry *new_entry(struct session *session, uint64_t key)
{
	struct entry *entry = session->spare;

	session->spare = NULL;
	if (!entry)
		entry = malloc(sizeof(*entry));
	if (!entry)
		abort();
	entry->key = key;
	entry->value = ~key;
	return entry;
}

struct cds_lfht *urcu_bench_lfht_new(uint64_t buckets, int automatic)
{
	return cds_lfht_new_flavor(buckets, 1, 0,
		automatic ? CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING : 0, &urcu_memb_flavor, NULL);
}

/*
 * By a registered thread, when nobody else uses the table. The entries, at most `count`, are left to
 * the caller.
 */
int urcu_bench_lfht_destroy(struct cds_lfht *table, struct entry **entries, uint64_t count)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;
	uint64_t removed = 0;

	urcu_memb_read_lock();
	cds_lfht_for_each(table, &iter, node) {
		if (removed < count && cds_lfht_del(table, node) == 0)
			entries[removed++] = caa_container_of(node, struct entry, node);
	}
	urcu_memb_read_unlock();
	urcu_memb_synchronize_rcu();
	return cds_lfht_destroy(table, NULL);
}

void urcu_bench_lfht_free(struct entry *entry)
{
	free(entry);
}

static inline uint64_t lookup_one(struct session *session, uint64_t key)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;
	uint64_t value = 0;

	urcu_memb_read_lock();
	cds_lfht_lookup(session->table, hash_of(key), matches, &key, &iter);
	node = cds_lfht_iter_get_node(&iter);
	if (node)
		value = caa_container_of(node, struct entry, node)->value;
	urcu_memb_read_unlock();
	return value;
}

uint64_t urcu_bench_lfht_lookup(struct session *session, uint64_t from, uint64_t range, uint64_t count)
{
	uint64_t found = 0;

	for (; count != 0; count--) {
		uint64_t key = from + scale(next_random(session), range);

		found += lookup_one(session, key) == ~key;
	}
	return found;
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

uint64_t urcu_bench_lfht_timed(struct session *session, uint64_t from, uint64_t range, uint32_t *times, uint64_t count)
{
	uint64_t found = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t key = from + scale(next_random(session), range);
		uint64_t start = now();

		found += lookup_one(session, key) == ~key;
		times[i] = now() - start;
	}
	return found;
}

static inline int insert_one(struct session *session, uint64_t key)
{
	struct entry *entry = new_entry(session, key);
	struct cds_lfht_node *found;

	urcu_memb_read_lock();
	found = cds_lfht_add_unique(session->table, hash_of(key), matches, &key, &entry->node);
	urcu_memb_read_unlock();
	if (found != &entry->node) {
		session->spare = entry;
		return 0;
	}
	return 1;
}

static inline int remove_one(struct session *session, uint64_t key)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;
	int removed = 0;

	urcu_memb_read_lock();
	cds_lfht_lookup(session->table, hash_of(key), matches, &key, &iter);
	node = cds_lfht_iter_get_node(&iter);
	if (node && cds_lfht_del(session->table, node) == 0) {
		removed = 1;
		urcu_memb_call_rcu(&caa_container_of(node, struct entry, node)->head, free_entry);
	}
	urcu_memb_read_unlock();
	return removed;
}

uint64_t urcu_bench_lfht_insert(struct session *session, uint64_t from, uint64_t to, uint64_t step)
{
	uint64_t inserted = 0;

	for (uint64_t key = from; key < to; key += step)
		inserted += insert_one(session, key);
	return inserted;
}

uint64_t urcu_bench_lfht_insert_timed(struct session *session, uint64_t from, uint64_t to, uint32_t *times)
{
	uint64_t inserted = 0;

	for (uint64_t key = from; key < to; key++) {
		uint64_t start = now();

		inserted += insert_one(session, key);
		*times++ = now() - start;
	}
	return inserted;
}

uint64_t urcu_bench_lfht_remove(struct session *session, uint64_t from, uint64_t to)
{
	uint64_t removed = 0;

	for (uint64_t key = from; key < to; key++)
		removed += remove_one(session, key);
	return removed;
}

/* 90 lookups, 5 insertions, 5 removals; what was inserted less what was removed. */
int64_t urcu_bench_lfht_mix(struct session *session, uint64_t range, uint64_t count)
{
	int64_t net = 0;
	uint64_t wrong = 0;

	for (; count != 0; count--) {
		uint64_t random = next_random(session);
		uint64_t key = scale(random, range);
		/* The low bits do not choose the key. */
		unsigned int choice = (random & 0xFFFF) * 20 >> 16;

		if (choice == 0) {
			net += insert_one(session, key);
		} else if (choice == 1) {
			net -= remove_one(session, key);
		} else {
			uint64_t value = lookup_one(session, key);

			wrong += value != 0 && value != ~key;
		}
	}
	if (wrong)
		abort();
	return net;
}

void urcu_bench_lfht_end(struct session *session)
{
	free(session->spare);
	session->spare = NULL;
}

/* The number of entries, by a registered thread. */
uint64_t urcu_bench_lfht_count(struct cds_lfht *table)
{
	long before, after;
	unsigned long count;

	urcu_memb_read_lock();
	cds_lfht_count_nodes(table, &before, &count, &after);
	urcu_memb_read_unlock();
	return count;
}
