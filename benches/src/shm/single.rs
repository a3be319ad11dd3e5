//! The raw hash table of one process: what shared memory is compared with.

use std::marker::PhantomData;
use std::ptr::NonNull;

use cds_lfht::raw::{Node, Options, Table, TableBox};
use urcu_core::{Flavor, Thread};

use super::{ENTRIES, Reader, Writer, key, value};

#[repr(C)]
struct Entry {
    node: Node,
    key: u64,
    value: u64,
}

/// A table, used by one updater and any number of readers.
#[derive(Debug)]
pub struct OneProcess<F> {
    table: TableBox,
    flavor: PhantomData<F>,
}

fn hash(key: u64) -> usize {
    // As much work as in a segment.
    let fold = |number: u64, by: u64| {
        let product = u128::from(number) * u128::from(by);
        product as u64 ^ (product >> 64) as u64
    };
    fold(fold(key ^ 0x1234_5678, 0x9E37_79B9_7F4A_7C15), 0xD6E8_FEB8_6659_FD93) as usize
}

fn is(key: u64) -> impl FnMut(NonNull<Node>) -> bool {
    // SAFETY: all nodes of the table are the first fields of entries.
    move |node| unsafe { node.cast::<Entry>().as_ref() }.key == key
}

fn entry(key: u64, value: u64) -> NonNull<Node> {
    NonNull::from(Box::leak(Box::new(Entry { node: Node::new(), key, value }))).cast()
}

impl<F: Flavor> OneProcess<F> {
    /// A full one. The calling thread is registered.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn fill(vtable: &'static urcu_core::FlavorVtable, thread: &Thread<F>) -> Result<Self, String> {
        let table = Table::new(vtable, Options::new()).map_err(|error| error.to_string())?;
        let mut this = Self { table, flavor: PhantomData };
        for number in 0..ENTRIES {
            let _guard = thread.read_lock();
            this.set(key(number), value(key(number), 0));
        }
        Ok(this)
    }

    fn set(&mut self, key: u64, value: u64) {
        // SAFETY: inside a section, says the caller; a fresh node.
        let old = unsafe { self.table.add_replace(hash(key), entry(key, value), is(key)) };
        if let Some(old) = old {
            // SAFETY: replaced by this thread; leaked from a box.
            unsafe { self.table.flavor().retire_raw(old.cast::<Entry>().as_ptr()) };
        }
    }
}

/// A thread's view of the table.
pub struct View<'t, F: Flavor> {
    /// The table; shared by all views.
    pub table: &'t Table,
    /// Registered.
    pub thread: Thread<F>,
}

impl<F: Flavor> OneProcess<F> {
    /// For views.
    pub fn table(&self) -> &Table {
        &self.table
    }
}

impl<F: Flavor> Reader for View<'_, F> {
    #[inline]
    fn get(&mut self, key: u64) -> Option<u64> {
        let _guard = self.thread.read_lock();
        // SAFETY: inside a section.
        let node = unsafe { self.table.lookup(hash(key), is(key)) }.node()?;
        // SAFETY: found in this section.
        Some(unsafe { node.cast::<Entry>().as_ref() }.value)
    }
}

impl<F: Flavor> Writer for View<'_, F> {
    fn update(&mut self, key: u64, value: u64) {
        let _guard = self.thread.read_lock();
        // SAFETY: inside a section; a fresh node.
        let old = unsafe { self.table.add_replace(hash(key), entry(key, value), is(key)) }.expect("it is there");
        // SAFETY: replaced by this thread; leaked from a box.
        unsafe { self.table.flavor().retire_raw(old.cast::<Entry>().as_ptr()) };
    }
}
