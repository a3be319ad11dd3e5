/*
 * A flavor of userspace RCU as a table of functions: what C code that is given a structure, or the table itself,
 * needs in order to read, update and retire, whatever the flavor is.
 *
 * Compare `version` with URCU_VTABLE_VERSION and `size` with sizeof(struct urcu_flavor) before anything else is used:
 * another version means something else; a smaller size lacks functions at the end.
 *
 * Generated: cargo xtask headers --bless
 */


#ifndef URCU_FLAVOR_H
#define URCU_FLAVOR_H

#include <stddef.h>
#include <stdint.h>

// The version of the layout and meaning of `urcu_flavor`'s fields. Fields are only ever added at the end, which
// changes `size`; anything else changes this.
#define URCU_VTABLE_VERSION 1

// Everything that a flavor shares between its threads. One static per flavor crate, that is: one per *copy* of the
// crate in the process. Two copies (a program's and a `dlopen`ed library's) are two domains that know nothing of
// each other's readers.
struct urcu_domain;

// Links an object into a callback queue: 16 bytes inside the object, so that retiring allocates nothing.
//
// Layout of the C library's `rcu_head`. Belongs to the library from `call_rcu` until the callback runs.
struct urcu_head {
    struct urcu_head *next;
    void (*callback)(struct urcu_head *head);
};

// A function that reclaims the object around a head.
typedef void (*urcu_callback)(struct urcu_head *head);

// A flavor's operations: what a structure holds of the flavor it was made with.
//
// Static data of the flavor crate, valid as long as that code is loaded. Every function is the raw tier's of the
// same name, with its context rules, and safe to call from C: a broken rule that is a panic in Rust ends the process
// here, after its message. Callbacks must not unwind.
//
// Read paths never call through it: who looks something up brings a guard.
struct urcu_flavor {
    // Size of this structure in bytes, as the flavor was compiled.
    uint32_t size;
    // `URCU_VTABLE_VERSION`, as the flavor was compiled.
    uint32_t version;
    // The address of the flavor's global state, as in `DomainId`: compare this, never function pointers.
    const struct urcu_domain *domain;
    // The flavor's crate, ending in zero.
    const char *name;
    // Enters a section. Registered (bp: any thread). Wait-free.
    void (*read_lock)(void);
    // Leaves a section. Wait-free.
    void (*read_unlock)(void);
    // Non-zero inside a section (QSBR: online). Any thread. Wait-free.
    int (*read_ongoing)(void);
    // Announces a quiescent state. Wait-free.
    void (*quiescent_state)(void);
    // Leaves the set of readers that grace periods wait for. Wait-free.
    void (*thread_offline)(void);
    // Joins it again. Registered. Wait-free.
    void (*thread_online)(void);
    // Registers the calling thread; 0, or a negative error number: `-EEXIST` (already registered), `-ENOMEM`,
    // `-EAGAIN` (no thread-specific key), `-ECANCELED` (the thread is ending), `-ENOSYS` (the flavor cannot be used).
    int (*register_thread)(void);
    // Ends the calling thread's registration. Outside every section.
    void (*unregister_thread)(void);
    // Waits for a grace period. Outside every section; QSBR: an online caller is offline meanwhile. Blocks.
    void (*synchronize)(void);
    // Waits for a grace period where that is certainly allowed: 0, or `-EDEADLK` without waiting when the calling
    // thread is inside a section (QSBR: or is online by a `Thread`), or `-EIO` when no grace period can end any more. What
    // safe code calls on a caller's behalf. Blocks.
    int (*try_synchronize)(void);
    // Before `fork`. Outside every section. Blocks.
    void (*fork_before)(void);
    // After `fork`, in the parent.
    void (*fork_after_parent)(void);
    // After `fork`, in the child.
    void (*fork_after_child)(void);
    // Runs `callback(head)` after a grace period, on a worker. Any context.
    void (*call_rcu)(struct urcu_head *head, urcu_callback callback);
    // Runs `function(argument)` after a grace period, on a worker. Any context.
    void (*defer)(void (*function)(void*), void *argument);
    // Runs `function(argument)`, which only frees memory, after a grace period, on any thread, also inside a later call
    // of this kind. Any context. `bytes` counts against the limits.
    void (*defer_free)(void (*function)(void*), void *argument, size_t bytes);
    // Waits until everything deferred before has run; 0, or `-EDEADLK` without waiting from a callback, inside a section
    // (QSBR: or online by a `Thread`), or `-EIO` when no grace period can end any more. QSBR: an online caller is offline
    // meanwhile. Blocks.
    int (*barrier)(void);
    // The same for what the calling thread has deferred, run on it.
    int (*defer_barrier_thread)(void);
    // A cookie for a grace period that starts after this call. Any context.
    uint64_t (*start_poll)(void);
    // Non-zero once the cookie's grace period has ended. Any context; wait-free.
    int (*poll)(uint64_t cookie);
    // As `defer`, for the reclaiming of `bytes`, which count against the limits.
    void (*defer_bytes)(void (*function)(void*), void *argument, size_t bytes);
    // Enters a section as a guard does: it is checked, and a QSBR thread that holds one cannot announce a quiescent state.
    // Null, and no section, when the calling thread is not registered (bp: never) or not online. Wait-free.
    void *(*enter)(void);
    // Leaves the section that `enter` returned, on the same thread, once. Wait-free.
    void (*leave)(void *section);
    // Registers the calling thread as a `Thread` does, which is checked: results as `register_thread`, and `-EEXIST` also
    // where a `Thread` (bp: nothing else) stands for a registration. QSBR: online.
    int (*attach)(void);
    // Ends what `attach` began, on the same thread, once. Inside a section of `enter`: as soon as that has ended.
    void (*detach)(void);
    // How many sections of the calling thread are open, as far as they are counted: QSBR counts those of `enter` and of the
    // free `read_lock()`, the others all. Any thread. Wait-free.
    uint64_t (*open_sections)(void);
};

#endif  /* URCU_FLAVOR_H */
