/*
 * A C program that is given a table and a flavor: it registers its own threads, reads, updates and retires, all through
 * the table of functions. It does the same with each flavor that the library has, and knows none of them.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "directory.h"

enum { READERS = 2, UPDATERS = 2, KEYS = 128, ROUNDS = 3000 };

/* The program's own entries, around the library's. */
struct item {
    struct directory_entry entry;
    atomic_ulong seal;
};

static atomic_long live;
static atomic_ulong made, reads;
static atomic_int stop;

static void fail(const char *what)
{
    fprintf(stderr, "program: %s\n", what);
    exit(1);
}

static void check(int good, const char *what)
{
    if (!good)
        fail(what);
}

static struct item *new_item(uint64_t key, uint64_t value)
{
    struct item *item = malloc(sizeof *item);
    check(item != NULL, "no memory");
    item->entry.key = key;
    item->entry.value = value;
    atomic_init(&item->seal, ~value);
    atomic_fetch_add(&live, 1);
    atomic_fetch_add(&made, 1);
    return item;
}

static void free_item(void *memory)
{
    struct item *item = memory;
    check(atomic_exchange(&item->seal, 0) == ~item->entry.value, "an item was freed twice");
    atomic_fetch_sub(&live, 1);
    free(item);
}

static void reclaim(struct urcu_head *head)
{
    free_item((char *)head - offsetof(struct directory_entry, head));
}

/* A table of functions is looked at before it is used. */
static const struct urcu_flavor *checked(const struct urcu_flavor *flavor)
{
    if (flavor->version != URCU_VTABLE_VERSION || flavor->size < sizeof *flavor)
        return NULL;
    return flavor;
}

static void *reader(void *argument)
{
    struct directory *directory = argument;
    const struct urcu_flavor *flavor = checked(directory_flavor(directory));
    unsigned long seen = 0;
    check(flavor->register_thread() == 0, "a reader cannot register");
    for (uint64_t round = 0; !atomic_load(&stop) || seen == 0; round++) {
        flavor->read_lock();
        struct item *item = (struct item *)directory_find(directory, round % KEYS);
        if (item) {
            check(item->entry.key == round % KEYS, "the item of another key");
            check(atomic_load(&item->seal) == ~item->entry.value, "read after its end");
            seen++;
        }
        flavor->read_unlock();
        if (round % 1024 == 0)
            (void)directory_sum(directory);
        flavor->quiescent_state();
    }
    atomic_fetch_add(&reads, seen);
    flavor->unregister_thread();
    return NULL;
}

/* Three ways to get rid of what is not in the table any more. */
static void retire(const struct urcu_flavor *flavor, struct item *item, uint64_t round)
{
    if (round % 64 == 0) {
        flavor->synchronize();
        free_item(item);
    } else if (round % 2 == 0) {
        flavor->call_rcu(&item->entry.head, reclaim);
    } else {
        flavor->defer(free_item, item);
    }
}

static void *updater(void *argument)
{
    struct directory *directory = argument;
    const struct urcu_flavor *flavor = checked(directory_flavor(directory));
    check(flavor->register_thread() == 0, "an updater cannot register");
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct item *item = new_item(round * 7 % KEYS, round);
        flavor->read_lock();
        struct item *replaced = (struct item *)directory_put(directory, &item->entry);
        struct item *removed = (struct item *)directory_remove(directory, round * 5 % KEYS);
        flavor->read_unlock();
        if (replaced)
            retire(flavor, replaced, round);
        if (removed)
            retire(flavor, removed, round + 1);
        flavor->quiescent_state();
    }
    flavor->unregister_thread();
    return NULL;
}

static void use(const struct urcu_flavor *flavor)
{
    pthread_t readers[READERS], updaters[UPDATERS];
    struct directory *directory = directory_new(flavor);
    check(directory != NULL, "no directory");
    check(directory_flavor(directory)->domain == flavor->domain, "the flavor of another");
    atomic_store(&stop, 0);
    atomic_store(&reads, 0);
    atomic_store(&made, 0);
    for (int i = 0; i < READERS; i++)
        check(pthread_create(&readers[i], NULL, reader, directory) == 0, "no thread");
    for (int i = 0; i < UPDATERS; i++)
        check(pthread_create(&updaters[i], NULL, updater, directory) == 0, "no thread");
    for (int i = 0; i < UPDATERS; i++)
        check(pthread_join(updaters[i], NULL) == 0, "no join");
    atomic_store(&stop, 1);
    for (int i = 0; i < READERS; i++)
        check(pthread_join(readers[i], NULL) == 0, "no join");

    /* What must not be waited for is refused, and a second registration too. */
    int registered = flavor->register_thread();
    check(registered == 0, "the first thread cannot register");
    void *section = flavor->enter();
    check(section != NULL, "no section");
    check(flavor->try_synchronize() == -EDEADLK, "waits for itself");
    check(flavor->barrier() == -EDEADLK, "waits for itself");
    flavor->leave(section);

    check(directory_free(directory) == -EPERM, "a directory that is not empty was freed");
    for (uint64_t key = 0; key < KEYS; key++) {
        flavor->read_lock();
        struct item *item = (struct item *)directory_remove(directory, key);
        flavor->read_unlock();
        if (item)
            flavor->call_rcu(&item->entry.head, reclaim);
    }
    flavor->unregister_thread();
    check(flavor->barrier() == 0, "no barrier");
    check(atomic_load(&live) == 0, "items are left");
    check(directory_free(directory) == 0, "the directory is not empty");
    printf("%s: %lu reads, %lu items made, all freed\n", flavor->name, atomic_load(&reads), atomic_load(&made));
}

static void refuse(const struct urcu_flavor *flavor)
{
    struct urcu_flavor other;
    memcpy(&other, flavor, sizeof other);
    other.version++;
    check(checked(&other) == NULL && directory_new(&other) == NULL, "another version was accepted");
    other.version--;
    other.size = sizeof other - sizeof(void *);
    check(checked(&other) == NULL && directory_new(&other) == NULL, "a shorter one was accepted");
    printf("%s: another version and a shorter table are refused\n", flavor->name);
}

int main(void)
{
    const struct urcu_flavor *flavor;
    for (int number = 0; (flavor = directory_flavor_number(number)) != NULL; number++) {
        check(checked(flavor) != NULL, "the header is of another version");
        check(flavor->size == sizeof *flavor, "the header is older or newer than the library, and both come from one source");
        refuse(flavor);
        use(flavor);
    }
    return 0;
}
