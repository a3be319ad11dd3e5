//! Which process of a line of forks this is: for locks that tell whether their holder exists.

use core::fmt;
use core::ptr;

use crate::sync::{AtomicPtr, AtomicU64, Ordering};
use crate::sys::{map_pages, process_id, unmap_pages};

/// The size that is asked for; the kernel rounds it up to whole pages.
const BYTES: usize = 4096;

/// The numbers of this copy of the library.
static NUMBERS: Numbers = Numbers {
    page: AtomicPtr::new(ptr::null_mut()),
    no_page: AtomicU64::new(0),
    last: AtomicU64::new(0),
    of_process: AtomicU64::new(0),
};

/// A number that is the same in all threads of a process, and another one in each forked child, without hooks.
///
/// A lock that a structure marks with it when it is taken is recognized in a child as one that nobody will give back: its
/// holder is a thread of an ancestor. Two values of this type may number differently, if two copies of this library made them; so
/// the locks of one structure are marked by the one that is kept there.
///
/// Not for a child that shares its parent's memory (`vfork`).
#[derive(Clone, Copy)]
pub struct Generation {
    /// Zero in a child that has not asked yet, since the kernel wipes it there (`MADV_WIPEONFORK`, Linux 4.14), and for ever where
    /// that is not to be had.
    current: &'static AtomicU64,
    numbers: &'static Numbers,
}

struct Numbers {
    /// Null before the first use, and where there is no page that is wiped.
    page: AtomicPtr<AtomicU64>,
    /// Stands for the page where there is none: always zero.
    no_page: AtomicU64,
    /// The last number that was given out, here or in the ancestors.
    last: AtomicU64,
    /// Without a page: a number in the low half, the id of its process in the high one.
    of_process: AtomicU64,
}

impl Generation {
    /// Maps a page, once. Lock-free.
    pub fn new() -> Self {
        let page = NUMBERS.page();
        // SAFETY: null or a mapped page that stays.
        let current = unsafe { page.as_ref() }.unwrap_or(&NUMBERS.no_page);
        Self { current, numbers: &NUMBERS }
    }

    /// The number of this process: above zero, and larger than those of its ancestors. Two loads; the first call in a process is
    /// slower, and so is each where the kernel is older than Linux 4.14.
    #[inline]
    pub fn number(self) -> u64 {
        // Relaxed: a process compares what it stored itself.
        let number = self.current.load(Ordering::Relaxed);
        if number != 0 { number } else { self.next() }
    }

    #[cold]
    #[inline(never)]
    fn next(self) -> u64 {
        if ptr::eq(self.current, &self.numbers.no_page) {
            return self.numbers.by_process_id();
        }
        // Given out before it is used: a child that is forked in between does not use it again. Relaxed: a number.
        let number = self.numbers.last.fetch_add(1, Ordering::Relaxed) + 1;
        // Relaxed: as in `number`. Another thread may have been faster.
        match self.current.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => number,
            Err(others) => others,
        }
    }
}

impl Default for Generation {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Generation({})", self.number())
    }
}

impl Numbers {
    fn page(&self) -> *mut AtomicU64 {
        // Acquire: mapped before its address was published. PAIR(generation)
        let page = self.page.load(Ordering::Acquire);
        if page.is_null() { self.map() } else { page }
    }

    #[cold]
    fn map(&self) -> *mut AtomicU64 {
        let Some(page) = map_pages(BYTES) else { return ptr::null_mut() };
        // SAFETY: our own mapping; the advice changes what a child sees.
        let is_wiped = unsafe { libc::madvise(page, BYTES, libc::MADV_WIPEONFORK) } == 0;
        let published = if is_wiped {
            // Release: mapped before its address is published. PAIR(generation)
            let (old, new) = (ptr::null_mut(), page.cast());
            self.page.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire)
        } else {
            Err(ptr::null_mut())
        };
        match published {
            Ok(_) => page.cast(),
            Err(others) => {
                // SAFETY: nobody else has seen it.
                unsafe { unmap_pages(page, BYTES) };
                others
            }
        }
    }

    /// The number where processes are told apart by their ids. An id that comes again in a descendant while nobody between has
    /// asked would not be noticed.
    fn by_process_id(&self) -> u64 {
        let process = u64::from(process_id().cast_unsigned()) << 32;
        // Relaxed throughout: a process compares what it stored itself.
        let mut seen = self.of_process.load(Ordering::Relaxed);
        loop {
            let number = seen & u64::from(u32::MAX);
            if number != 0 && seen - number == process {
                return number;
            }
            match self.of_process.compare_exchange(seen, process | (number + 1), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return number + 1,
                Err(others) => seen = others,
            }
        }
    }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;

    /// Runs `child` in a child and returns what it says.
    fn in_child(child: impl FnOnce() -> u8) -> i32 {
        // SAFETY: the child neither allocates nor takes locks.
        match unsafe { libc::fork() } {
            -1 => panic!("fork: {}", std::io::Error::last_os_error()),
            // SAFETY: takes a plain integer.
            0 => unsafe { libc::_exit(i32::from(child())) },
            process => {
                let mut status = 0;
                // SAFETY: a child of ours; a pointer to a local.
                assert_eq!(unsafe { libc::waitpid(process, &raw mut status, 0) }, process);
                assert!(libc::WIFEXITED(status));
                libc::WEXITSTATUS(status)
            }
        }
    }

    #[test]
    fn each_process_has_a_number() {
        let generation = Generation::new();
        let own = generation.number();
        assert_eq!(own, std::thread::spawn(move || generation.number()).join().expect("no panic"));
        assert_eq!(own, Generation::new().number());
        let said = in_child(|| {
            let childs = generation.number();
            let grandchilds = in_child(|| u8::from(generation.number() > childs));
            u8::from(childs > own && generation.number() == childs && grandchilds == 1)
        });
        assert_eq!(said, 1);
        assert_eq!(generation.number(), own);
    }

    #[test]
    fn each_process_has_a_number_where_the_kernel_wipes_nothing() {
        let numbers: &'static Numbers = Box::leak(Box::new(Numbers {
            page: AtomicPtr::new(ptr::null_mut()),
            no_page: AtomicU64::new(0),
            last: AtomicU64::new(0),
            of_process: AtomicU64::new(0),
        }));
        let generation = Generation { current: &numbers.no_page, numbers };
        let own = generation.number();
        assert_eq!(own, generation.number());
        let said = in_child(|| u8::from(generation.number() == own + 1 && generation.number() == own + 1));
        assert_eq!(said, 1);
        assert_eq!(generation.number(), own);
    }
}
