/*
 * A hash table for C programs.
 *
 * Generated: cargo xtask headers --bless
 */


#ifndef DIRECTORY_H
#define DIRECTORY_H

#include <stdint.h>
#include "urcu/flavor.h"

// A table of entries by key.
struct directory;

// Where the table keeps what it needs in an entry.
struct directory_node {
    // The table's own.
    size_t internal[2];
};

// What is in a directory: to be put at the beginning of a larger structure, or used as it is.
struct directory_entry {
    // The table's own.
    struct directory_node node;
    // For `call_rcu`, once the entry has been replaced or removed.
    struct urcu_head head;
    // Not to be changed while the entry is in a directory.
    uint64_t key;
    // The program's.
    uint64_t value;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The flavors that this library has, by number from 0; null beyond the last one. Any thread.
const struct urcu_flavor *directory_flavor_number(int number);

// An empty directory of this flavor, from here or from elsewhere; null when the flavor's table is of another version, too
// short, or when there is no memory. Any thread.
//
// # Safety
//
// `flavor` points to a table that stays.
struct directory *directory_new(const struct urcu_flavor *flavor);

// The flavor that it was made with. Any thread.
//
// # Safety
//
// `directory` lives.
const struct urcu_flavor *directory_flavor(const struct directory *directory);

// The entry of `key`, or null. Wait-free.
//
// # Safety
//
// Inside a section of the directory's flavor, until whose end the result may be used.
struct directory_entry *directory_find(const struct directory *directory, uint64_t key);

// Puts an entry in. What it replaces is returned, or null: to be retired by the caller. Lock-free.
//
// # Safety
//
// Inside a section of the directory's flavor. `entry` is in no directory, is not pending to be reclaimed, and stays where it
// is; its key and value are set.
struct directory_entry *directory_put(struct directory *directory,
                                      struct directory_entry *entry);

// Takes the entry of `key` out and returns it, or null: to be retired by the caller. Lock-free.
//
// # Safety
//
// Inside a section of the directory's flavor.
struct directory_entry *directory_remove(struct directory *directory, uint64_t key);

// The sum of all values, found by code that is not C. Any thread that is registered (QSBR: online).
//
// # Safety
//
// `directory` lives.
uint64_t directory_sum(const struct directory *directory);

// Ends an empty directory: 0; or `-EPERM`, and nothing has happened.
//
// # Safety
//
// Nobody uses it any more, outside of every section.
int directory_free(struct directory *directory);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* DIRECTORY_H */
