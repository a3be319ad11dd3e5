//! Where a linked structure lives, and how its links name what they point to.
//!
//! The algorithms of the structures are written once, over a [`Space`]. A link is a machine word in an atomic pointer; what it
//! holds is a *name*, and the space turns names into pointers and back:
//!
//! | space | a name is | a name that makes no sense |
//! |---|---|---|
//! | [`Process`] | the pointer itself | cannot be: links are the process's own. Nothing is checked, nothing is counted, all of it compiles to nothing |
//! | [`Mapped`] | the distance from the beginning of a mapping | gives [`Stop`]: never an access outside of the mapping, never a walk without an end |
//!
//! Every process may map a [`Mapped`] space where it likes, and what another process has written into it need not be trusted:
//! a name is compared with the bounds each time that it is followed, and a walk may take so many steps only as there is
//! room for nodes.

use core::convert::Infallible;
use core::fmt;
use core::ptr::{self, NonNull};

/// See the [module page](self).
///
/// # Safety
///
/// Of implementations: [`resolve`](Self::resolve) keeps what it promises for every name, and finds for the result of
/// [`name`](Self::name) the target again. A name of [`name`](Self::name) has the low bits of the target's alignment clear.
pub unsafe trait Space: Clone + Send + Sync + 'static {
    /// Why a walk ended early. Without values where links are trusted.
    type Stop: fmt::Debug + Copy;

    /// What is left of a walk's allowance.
    type Steps;

    /// The allowance of one walk.
    fn steps(&self) -> Self::Steps;

    /// Takes one step.
    ///
    /// # Errors
    ///
    /// The allowance is used up: there cannot be so many nodes.
    fn step(&self, steps: &mut Self::Steps) -> Result<(), Self::Stop>;

    /// What `name` names: aligned for a `T`, and with memory for one behind it as long as the space is there. If links are
    /// trusted: the target that was named, whatever it is.
    ///
    /// # Errors
    ///
    /// There is no such place.
    ///
    /// # Safety
    ///
    /// If links are trusted: `name` was read from one, and not null.
    unsafe fn resolve<T>(&self, name: *mut T) -> Result<NonNull<T>, Self::Stop>;

    /// The name of a target in this space.
    fn name<T>(&self, target: NonNull<T>) -> *mut T;

    /// Something that cannot be, if links are trusted.
    ///
    /// # Errors
    ///
    /// Always.
    fn nonsense<T>(&self) -> Result<T, Self::Stop>;
}

/// The memory of this process: names are pointers. Costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process;

// SAFETY: names are the targets themselves.
unsafe impl Space for Process {
    type Stop = Infallible;
    type Steps = ();

    #[inline(always)]
    fn steps(&self) {}

    #[inline(always)]
    fn step(&self, (): &mut ()) -> Result<(), Infallible> {
        Ok(())
    }

    #[inline(always)]
    unsafe fn resolve<T>(&self, name: *mut T) -> Result<NonNull<T>, Infallible> {
        debug_assert!(!name.is_null(), "a link to nothing was followed");
        // SAFETY: not null, says the caller.
        Ok(unsafe { NonNull::new_unchecked(name) })
    }

    #[inline(always)]
    fn name<T>(&self, target: NonNull<T>) -> *mut T {
        target.as_ptr()
    }

    #[cold]
    fn nonsense<T>(&self) -> Result<T, Infallible> {
        unreachable!("a link of this process makes no sense: its memory was overwritten")
    }
}

/// Why a walk through a [`Mapped`] space ended early: the data are corrupt, or too large for this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// A link leads out of the space, or to an address that nothing can have.
    Link {
        /// What was in the link.
        name: usize,
    },
    /// The walk was longer than anything that there is room for: it goes in a circle.
    Endless,
    /// What was found contradicts itself.
    Nonsense,
    /// This process has no memory for a copy of what was found. It need not be corrupt.
    NoMemory {
        /// How much was asked for.
        bytes: usize,
    },
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link { name } => write!(f, "corrupt data: a link leads to {name:#x}, where nothing can be"),
            Self::Endless => f.write_str("corrupt data: a chain without an end"),
            Self::Nonsense => f.write_str("corrupt data: what was found contradicts itself"),
            Self::NoMemory { bytes } => write!(f, "no memory for a copy of {bytes} bytes"),
        }
    }
}

impl core::error::Error for Stop {}

/// A mapping that other processes have, too, perhaps elsewhere: names are distances from its beginning.
#[derive(Clone, Copy, Debug)]
pub struct Mapped {
    base: NonNull<u8>,
    /// Nothing below this is ever a target.
    first: usize,
    /// From `first` to the end.
    room: usize,
}

// SAFETY: an address and two numbers; what is done with the memory is the callers' matter.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

/// The least number of bytes per step: no structure has nodes that are smaller.
const LEAST_NODE: usize = 8;

impl Mapped {
    /// The space of the bytes `first..length` of the mapping at `base`.
    ///
    /// # Safety
    ///
    /// - The mapping is readable, `length` bytes long, aligned to 4096, and stays as long as anything uses the space or a copy of it.
    /// - Its contents are accessed by atomic operations only, in this process, as long as others may write to it.
    ///
    /// # Panics
    ///
    /// If `first` is 0 or not a multiple of 8, or above `length`; if `length` is more than 2^47.
    pub unsafe fn new(base: NonNull<u8>, first: usize, length: usize) -> Self {
        assert!(first != 0 && first.is_multiple_of(8) && first <= length, "a space from {first} to {length}");
        assert!(length <= 1 << 47, "a space of {length} bytes");
        Self { base, first, room: length - first }
    }

    /// The beginning of the mapping.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Checks `length` bytes at the distance `name` for a target of this alignment.
    ///
    /// # Errors
    ///
    /// They are not all inside, or not aligned.
    #[inline(always)]
    pub fn bytes(&self, name: usize, length: usize, align: usize) -> Result<NonNull<u8>, Stop> {
        let from = name.wrapping_sub(self.first);
        // `from` may have wrapped: then it is larger than any room.
        if from > self.room || length > self.room - from || name & (align - 1) != 0 {
            return Err(Stop::Link { name });
        }
        // SAFETY: inside the mapping, as just checked.
        Ok(unsafe { self.base.byte_add(name) })
    }

    /// The distance of a place in the mapping from its beginning.
    #[inline(always)]
    pub fn distance<T>(&self, target: NonNull<T>) -> usize {
        target.addr().get().wrapping_sub(self.base.addr().get())
    }
}

// SAFETY: `resolve` compares with the bounds, and the base is aligned to more than any target; `name` is its inverse.
unsafe impl Space for Mapped {
    type Stop = Stop;
    type Steps = usize;

    #[inline(always)]
    fn steps(&self) -> usize {
        self.room / LEAST_NODE
    }

    #[inline(always)]
    fn step(&self, steps: &mut usize) -> Result<(), Stop> {
        *steps = steps.checked_sub(1).ok_or(Stop::Endless)?;
        Ok(())
    }

    /// Safe to call with any name.
    #[inline(always)]
    unsafe fn resolve<T>(&self, name: *mut T) -> Result<NonNull<T>, Stop> {
        const { assert!(align_of::<T>() <= 4096) };
        Ok(self.bytes(name.addr(), size_of::<T>(), align_of::<T>())?.cast())
    }

    #[inline(always)]
    fn name<T>(&self, target: NonNull<T>) -> *mut T {
        ptr::without_provenance_mut(self.distance(target))
    }

    #[cold]
    fn nonsense<T>(&self) -> Result<T, Stop> {
        Err(Stop::Nonsense)
    }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;

    #[repr(align(4096))]
    struct Memory(#[allow(dead_code, reason = "read through names")] [u64; 512]);

    #[test]
    fn names_lead_back_and_everything_else_stops() {
        let memory = Box::leak(Box::new(Memory([7; 512])));
        // SAFETY: leaked, read by this thread only.
        let space = unsafe { Mapped::new(NonNull::from(&mut *memory).cast(), 64, 4096) };
        for name in 0..8192_usize {
            // SAFETY: any name will do.
            let there = unsafe { space.resolve(ptr::without_provenance_mut::<[u64; 2]>(name)) };
            let fits = (64..=4096 - 16).contains(&name) && name % 8 == 0;
            assert_eq!(there.is_ok(), fits, "{name}");
            if let Ok(there) = there {
                assert_eq!(space.name(there).addr(), name);
                // SAFETY: inside.
                assert_eq!(unsafe { there.as_ref() }, &[7, 7]);
            }
        }
        for name in [usize::MAX, usize::MAX - 7, 1 << 63, usize::MAX - 4096 + 64] {
            let link = ptr::without_provenance_mut::<u64>(name);
            // SAFETY: any name will do.
            assert_eq!(unsafe { space.resolve(link) }, Err(Stop::Link { name }));
        }
        assert!(space.bytes(64, 4096 - 64, 8).is_ok());
        assert!(space.bytes(64, 4096 - 63, 8).is_err());
        assert!(space.bytes(64, usize::MAX, 8).is_err());
    }

    #[test]
    fn walks_end() {
        let memory = Box::leak(Box::new(Memory([0; 512])));
        // SAFETY: leaked, not read.
        let space = unsafe { Mapped::new(NonNull::from(&mut *memory).cast(), 4096 - 32, 4096) };
        let mut steps = space.steps();
        for _ in 0..4 {
            assert_eq!(space.step(&mut steps), Ok(()));
        }
        assert_eq!(space.step(&mut steps), Err(Stop::Endless));
    }
}
