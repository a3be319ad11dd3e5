//! A hash table for C programs: the raw tier of `cds-lfht` behind functions that C can call.
//!
//! The header is generated from this file: `cargo xtask headers --bless`. What is written here is what C programmers read
//! there. The nodes are theirs: they allocate them, and they retire them through the flavor's table of functions, which is
//! in `urcu/flavor.h`.

use std::ffi::c_int;
use std::mem::{self, ManuallyDrop, offset_of};
use std::ptr::{self, NonNull};

use cds_lfht::raw::{Iter, Node, NotEmpty, Options, Table, TableBox};
use urcu_core::{FlavorVtable, RcuHead};

/// Where the table keeps what it needs in an entry.
#[derive(Debug)]
#[repr(C)]
pub struct DirectoryNode {
    /// The table's own.
    pub internal: [usize; 2],
}

/// What is in a directory: to be put at the beginning of a larger structure, or used as it is.
#[derive(Debug)]
#[repr(C)]
pub struct DirectoryEntry {
    /// The table's own.
    pub node: DirectoryNode,
    /// For `call_rcu`, once the entry has been replaced or removed.
    pub head: RcuHead,
    /// Not to be changed while the entry is in a directory.
    pub key: u64,
    /// The program's.
    pub value: u64,
}

const _: () = {
    assert!(size_of::<DirectoryNode>() == size_of::<Node>() && align_of::<DirectoryNode>() == align_of::<Node>());
    assert!(offset_of!(DirectoryEntry, node) == 0);
};

/// A table of entries by key.
#[derive(Debug)]
pub struct Directory {
    table: TableBox,
}

/// The flavors that this library has, by number from 0; null beyond the last one. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn directory_flavor_number(number: c_int) -> *const FlavorVtable {
    let flavors =
        [urcu_qsbr::vtable(), urcu_mb::vtable(), urcu_membarrier::vtable(), urcu_signal::vtable(), urcu_bp::vtable()];
    usize::try_from(number).ok().and_then(|number| flavors.get(number)).map_or(ptr::null(), |flavor| *flavor)
}

/// An empty directory of this flavor, from here or from elsewhere; null when the flavor's table is of another version, too
/// short, or when there is no memory. Any thread.
///
/// # Safety
///
/// `flavor` points to a table that stays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn directory_new(flavor: *const FlavorVtable) -> *mut Directory {
    // SAFETY: the caller's promise.
    let Ok(flavor) = (unsafe { FlavorVtable::check(flavor) }) else { return ptr::null_mut() };
    match Table::new(flavor, Options::new().auto_resize(true)) {
        Ok(table) => Box::into_raw(Box::new(Directory { table })),
        Err(_) => ptr::null_mut(),
    }
}

/// The flavor that it was made with. Any thread.
///
/// # Safety
///
/// `directory` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn directory_flavor(directory: *const Directory) -> *const FlavorVtable {
    // SAFETY: the caller's promise.
    unsafe { &*directory }.table.flavor()
}

/// The entry of `key`, or null. Wait-free.
///
/// # Safety
///
/// Inside a section of the directory's flavor, until whose end the result may be used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn directory_find(directory: *const Directory, key: u64) -> *mut DirectoryEntry {
    // SAFETY: the caller's promise.
    let table = &unsafe { &*directory }.table;
    // SAFETY: inside a section, as promised.
    unsafe { find(table, key) }.node().map_or(ptr::null_mut(), |node| entry_of(node).as_ptr())
}

/// Puts an entry in. What it replaces is returned, or null: to be retired by the caller. Lock-free.
///
/// # Safety
///
/// Inside a section of the directory's flavor. `entry` is in no directory, is not pending to be reclaimed, and stays where it
/// is; its key and value are set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn directory_put(directory: *mut Directory, entry: *mut DirectoryEntry) -> *mut DirectoryEntry {
    // SAFETY: the caller's promise.
    let table = &unsafe { &*directory }.table;
    // SAFETY: the caller's promise.
    let key = unsafe { (*entry).key };
    // SAFETY: the caller's memory, of the node's size and alignment, at the entry's beginning.
    unsafe { entry.cast::<Node>().write(Node::new()) };
    // SAFETY: not null, since it was just written to.
    let node = unsafe { NonNull::new_unchecked(entry.cast::<Node>()) };
    // SAFETY: inside a section; the node is new; the keys of entries do not change.
    let replaced = unsafe { table.add_replace(hash(key), node, |other| key_of(other) == key) };
    replaced.map_or(ptr::null_mut(), |node| entry_of(node).as_ptr())
}

/// Takes the entry of `key` out and returns it, or null: to be retired by the caller. Lock-free.
///
/// # Safety
///
/// Inside a section of the directory's flavor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn directory_remove(directory: *mut Directory, key: u64) -> *mut DirectoryEntry {
    // SAFETY: the caller's promise.
    let table = &unsafe { &*directory }.table;
    // SAFETY: inside a section, as promised.
    let Some(node) = (unsafe { find(table, key) }).node() else { return ptr::null_mut() };
    // SAFETY: found in this section.
    match unsafe { table.del(node) } {
        Ok(()) => entry_of(node).as_ptr(),
        // Somebody else was faster, and has it.
        Err(_) => ptr::null_mut(),
    }
}

/// The sum of all values, found by code that is not C. Any thread that is registered (QSBR: online).
///
/// # Safety
///
/// `directory` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn directory_sum(directory: *const Directory) -> u64 {
    // SAFETY: the caller's promise.
    let table = &unsafe { &*directory }.table;
    let _section = table.flavor().pin();
    let mut sum = 0_u64;
    // SAFETY: inside a section.
    let mut iter = unsafe { table.first() };
    while let Some(node) = iter.node() {
        // SAFETY: found in this section; only the program changes values, and not while they are in.
        sum = sum.wrapping_add(unsafe { (*entry_of(node).as_ptr()).value });
        // SAFETY: the same section.
        iter = unsafe { table.next(iter) };
    }
    sum
}

/// Ends an empty directory: 0; or `-EPERM`, and nothing has happened.
///
/// # Safety
///
/// Nobody uses it any more, outside of every section.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn directory_free(directory: *mut Directory) -> c_int {
    // SAFETY: the caller's promise.
    let table = &unsafe { &*directory }.table;
    // SAFETY: a valid value. Read, not moved: which of the two is the owner is decided below.
    let table = unsafe { ptr::read(table) };
    match table.destroy() {
        Ok(()) => {
            // SAFETY: a box by `directory_new`; its table has been destroyed, and is not dropped again.
            drop(unsafe { Box::from_raw(directory.cast::<ManuallyDrop<Directory>>()) });
            0
        }
        Err(NotEmpty(table)) => {
            // The one in the directory is the owner still.
            mem::forget(table);
            -libc::EPERM
        }
    }
}

/// # Safety
///
/// Inside a section of the table's flavor.
unsafe fn find(table: &Table, key: u64) -> Iter {
    // SAFETY: as promised; keys do not change while an entry may be found.
    unsafe { table.lookup(hash(key), |node| key_of(node) == key) }
}

fn entry_of(node: NonNull<Node>) -> NonNull<DirectoryEntry> {
    // At the beginning.
    node.cast()
}

/// The key of a node that is in a table, or was when the section began.
fn key_of(node: NonNull<Node>) -> u64 {
    // SAFETY: all nodes are those of entries, alive until the end of the section in which they were found.
    unsafe { (*entry_of(node).as_ptr()).key }
}

/// Spreads keys over all bits (a permutation: the finalizer of splitmix64).
#[allow(clippy::cast_possible_truncation, reason = "where that happens, the low bits are as good")]
fn hash(key: u64) -> usize {
    let key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (key ^ (key >> 31)) as usize
}
