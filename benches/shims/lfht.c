/*
 * The C library's hash table: u64 -> u64, with the loops of the suite `map` around it. The
 * flavor's read side is inlined; the table's functions are calls into the library, and it calls the
 * comparison through a pointer: its interface allows nothing else.
 */

#include <urcu/urcu-memb.h>
#include <urcu/rculfhash.h>

#include <stdint.h>
#include <stdlib.h>

/* In the order that the keys' cache line is best used. */
struct entry {
	struct cds_lfht_node node;
	uint64_t key;
	uint64_t value;
	struct rcu_head head;
};

/* Layout of `Step`. */
struct step {
	uint64_t kind;
	uint64_t key;
};

enum { GET, INSERT, REMOVE };

static inline uint64_t value_of(uint64_t key)
{
	return (key << 17 | key >> 47) ^ 0x0123456789abcdef;
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

static inline struct entry *new_entry(uint64_t key)
{
	struct entry *entry = malloc(sizeof(*entry));

	if (!entry)
		abort();
	entry->key = key;
	entry->value = value_of(key);
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

static inline uint64_t get_one(struct cds_lfht *table, uint64_t key, uint64_t *sum)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;
	uint64_t found = 0;

	urcu_memb_read_lock();
	cds_lfht_lookup(table, hash_of(key), matches, &key, &iter);
	node = cds_lfht_iter_get_node(&iter);
	if (node) {
		*sum += caa_container_of(node, struct entry, node)->value;
		found = 1;
	}
	urcu_memb_read_unlock();
	return found;
}

static inline uint64_t insert_one(struct cds_lfht *table, uint64_t key)
{
	struct entry *entry = new_entry(key);
	struct cds_lfht_node *found;

	urcu_memb_read_lock();
	found = cds_lfht_add_unique(table, hash_of(key), matches, &key, &entry->node);
	urcu_memb_read_unlock();
	if (found != &entry->node) {
		free(entry);
		return 0;
	}
	return 1;
}

static inline uint64_t remove_one(struct cds_lfht *table, uint64_t key)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;
	uint64_t removed = 0;

	urcu_memb_read_lock();
	cds_lfht_lookup(table, hash_of(key), matches, &key, &iter);
	node = cds_lfht_iter_get_node(&iter);
	if (node && cds_lfht_del(table, node) == 0) {
		removed = 1;
		urcu_memb_call_rcu(&caa_container_of(node, struct entry, node)->head, free_entry);
	}
	urcu_memb_read_unlock();
	return removed;
}

/* How many of the keys are there, and the sum of their values. */
uint64_t urcu_bench_lfht_get(struct cds_lfht *table, const uint64_t *keys, uint64_t count, uint64_t *sum)
{
	uint64_t found = 0, values = 0;

	for (uint64_t i = 0; i < count; i++)
		found += get_one(table, keys[i], &values);
	*sum = values;
	return found;
}

uint64_t urcu_bench_lfht_insert(struct cds_lfht *table, const uint64_t *keys, uint64_t count)
{
	uint64_t inserted = 0;

	for (uint64_t i = 0; i < count; i++)
		inserted += insert_one(table, keys[i]);
	return inserted;
}

uint64_t urcu_bench_lfht_remove(struct cds_lfht *table, const uint64_t *keys, uint64_t count)
{
	uint64_t removed = 0;

	for (uint64_t i = 0; i < count; i++)
		removed += remove_one(table, keys[i]);
	return removed;
}

/* What the lookups among the steps have found. */
uint64_t urcu_bench_lfht_mixed(struct cds_lfht *table, const struct step *steps, uint64_t count, uint64_t *sum)
{
	uint64_t found = 0, values = 0, done = 1;

	for (uint64_t i = 0; i < count; i++) {
		if (steps[i].kind == GET)
			found += get_one(table, steps[i].key, &values);
		else if (steps[i].kind == INSERT)
			done &= insert_one(table, steps[i].key);
		else
			done &= remove_one(table, steps[i].key);
	}
	if (!done)
		abort();
	*sum = values;
	return found;
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
