//! Atomics for negative controls (`--cfg urcu_mutants`): each place in the source that names a memory order can be weakened
//! alone, in a program that is built once.
//!
//! `URCU_MUTANT=<file>:<line>:<column>=<order>` replaces the order of that one access or fence, `...!=<order>` the one of
//! a compare-exchange that fails. `URCU_MUTANT=<name>` takes away the rule that [`weaken!`](crate::weaken) names.

// Types that the rest of the workspace sees in place of the standard library's, documented there.
#![allow(missing_docs, unreachable_pub)]

use core::panic::Location;
use core::sync::atomic::Ordering;
use std::sync::OnceLock;

enum Mutant {
    Rule(String),
    Order { file: String, line: u32, column: u32, fails: bool, order: Ordering },
}

static MUTANT: OnceLock<Option<Mutant>> = OnceLock::new();

fn mutant() -> Option<&'static Mutant> {
    if !cfg!(urcu_mutants) {
        return None;
    }
    MUTANT.get_or_init(|| Some(parse(&std::env::var("URCU_MUTANT").ok()?))).as_ref()
}

fn parse(text: &str) -> Mutant {
    let Some((place, order)) = text.split_once('=') else { return Mutant::Rule(text.to_owned()) };
    let (place, fails) = place.strip_suffix('!').map_or((place, false), |place| (place, true));
    let order = match order {
        "Relaxed" => Ordering::Relaxed,
        "Acquire" => Ordering::Acquire,
        "Release" => Ordering::Release,
        "AcqRel" => Ordering::AcqRel,
        _ => panic!("URCU_MUTANT: no order that something is weakened to: {order}"),
    };
    let mut parts = place.rsplitn(3, ':');
    let mut number = || parts.next().and_then(|part| part.parse().ok()).expect("URCU_MUTANT: file:line:column=order");
    let (column, line) = (number(), number());
    Mutant::Order { file: parts.next().expect("URCU_MUTANT: a file").to_owned(), line, column, fails, order }
}

#[cfg_attr(not(urcu_mutants), expect(dead_code, reason = "for negative controls only"))]
/// Whether this process runs without the rule of that name.
pub fn is_mutant(name: &str) -> bool {
    matches!(mutant(), Some(Mutant::Rule(active)) if active == name)
}

/// The order that the caller's caller gets for the one it names.
#[track_caller]
fn weakened(order: Ordering, failure: bool) -> Ordering {
    let here = Location::caller();
    #[cfg(urcu_mutants)]
    super::stutter::at(here);
    match mutant() {
        Some(Mutant::Order { file, line, column, fails, order })
            if *fails == failure && *line == here.line() && *column == here.column() && file == here.file() =>
        {
            *order
        }
        _ => order,
    }
}

/// The operations that all types have.
macro_rules! operations {
    ($value:ty) => {
        #[inline]
        #[track_caller]
        pub fn load(&self, order: Ordering) -> $value {
            self.0.load(weakened(order, false))
        }

        #[inline]
        #[track_caller]
        pub fn store(&self, value: $value, order: Ordering) {
            self.0.store(value, weakened(order, false));
        }

        #[inline]
        #[track_caller]
        pub fn swap(&self, value: $value, order: Ordering) -> $value {
            self.0.swap(value, weakened(order, false))
        }

        #[inline]
        #[track_caller]
        pub fn compare_exchange(
            &self,
            current: $value,
            new: $value,
            success: Ordering,
            failure: Ordering,
        ) -> Result<$value, $value> {
            self.0.compare_exchange(current, new, weakened(success, false), weakened(failure, true))
        }

        #[inline]
        #[track_caller]
        pub fn compare_exchange_weak(
            &self,
            current: $value,
            new: $value,
            success: Ordering,
            failure: Ordering,
        ) -> Result<$value, $value> {
            self.0.compare_exchange_weak(current, new, weakened(success, false), weakened(failure, true))
        }

        #[inline]
        #[track_caller]
        pub fn fetch_update(
            &self,
            success: Ordering,
            failure: Ordering,
            update: impl FnMut($value) -> Option<$value>,
        ) -> Result<$value, $value> {
            self.0.fetch_update(weakened(success, false), weakened(failure, true), update)
        }
    };
}

/// Operations that fetch, by name.
macro_rules! fetches {
    ($value:ty: $($name:ident),*) => {
        $(
            #[inline]
            #[track_caller]
            pub fn $name(&self, value: $value, order: Ordering) -> $value {
                self.0.$name(value, weakened(order, false))
            }
        )*
    };
}

macro_rules! number {
    ($name:ident, $inner:path, $value:ty, [$($constant:tt)?]) => {
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub struct $name($inner);

        impl $name {
            pub $($constant)? fn new(value: $value) -> Self {
                Self(<$inner>::new(value))
            }

            operations!($value);
            fetches!($value: fetch_add, fetch_sub, fetch_and, fetch_or, fetch_xor, fetch_max, fetch_min);
        }

        impl From<$value> for $name {
            fn from(value: $value) -> Self {
                Self::new(value)
            }
        }
    };
}

macro_rules! flag {
    ($inner:path, [$($constant:tt)?]) => {
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub struct AtomicBool($inner);

        impl AtomicBool {
            pub $($constant)? fn new(value: bool) -> Self {
                Self(<$inner>::new(value))
            }

            operations!(bool);
            fetches!(bool: fetch_and, fetch_or, fetch_xor);
        }
    };
}

macro_rules! pointer {
    ($inner:ident, [$($constant:tt)?]) => {
        #[repr(transparent)]
        pub struct AtomicPtr<T>($inner<T>);

        impl<T> core::fmt::Debug for AtomicPtr<T> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<T> AtomicPtr<T> {
            pub $($constant)? fn new(value: *mut T) -> Self {
                Self($inner::new(value))
            }

            operations!(*mut T);
        }

        impl<T> Default for AtomicPtr<T> {
            fn default() -> Self {
                Self::new(core::ptr::null_mut())
            }
        }
    };
}

macro_rules! fences {
    ($fence:path) => {
        /// Weakened to nothing when it would be weakened to Relaxed.
        #[inline]
        #[track_caller]
        pub fn fence(order: Ordering) {
            let order = weakened(order, false);
            if order != Ordering::Relaxed {
                $fence(order);
            }
        }
    };
}

/// Around the standard library's.
pub mod plain {
    #[cfg(not(urcu_loom))]
    use core::sync::atomic;
    #[cfg(not(urcu_loom))]
    use core::sync::atomic::AtomicPtr as Inner;

    #[cfg(urcu_loom)]
    use super::super::model::{self as atomic, AtomicPtr as Inner};

    use super::{Ordering, weakened};

    number!(AtomicU8, atomic::AtomicU8, u8, [const]);
    number!(AtomicI32, atomic::AtomicI32, i32, [const]);
    number!(AtomicU32, atomic::AtomicU32, u32, [const]);
    number!(AtomicU64, atomic::AtomicU64, u64, [const]);
    number!(AtomicUsize, atomic::AtomicUsize, usize, [const]);
    flag!(atomic::AtomicBool, [const]);
    pointer!(Inner, [const]);
    fences!(atomic::fence);

    /// What the standard library's types have beside: access without atomicity.
    macro_rules! insides {
        ($name:ident $(<$parameter:ident>)?, $value:ty) => {
            impl $(<$parameter>)? $name $(<$parameter>)? {
                pub const fn as_ptr(&self) -> *mut $value {
                    self.0.as_ptr()
                }

                pub fn get_mut(&mut self) -> &mut $value {
                    self.0.get_mut()
                }

                pub fn into_inner(self) -> $value {
                    self.0.into_inner()
                }
            }
        };
    }

    insides!(AtomicU8, u8);
    insides!(AtomicI32, i32);
    insides!(AtomicU32, u32);
    insides!(AtomicU64, u64);
    insides!(AtomicUsize, usize);
    insides!(AtomicBool, bool);
    insides!(AtomicPtr<T>, *mut T);

    /// Weakened to nothing when it would be weakened to Relaxed.
    #[inline]
    #[track_caller]
    pub fn compiler_fence(order: Ordering) {
        let order = weakened(order, false);
        if order != Ordering::Relaxed {
            atomic::compiler_fence(order);
        }
    }
}

/// Around the model checker's.
#[cfg(all(urcu_loom, urcu_mutants))]
pub mod modelled {
    use loom::sync::atomic;
    use loom::sync::atomic::AtomicPtr as Inner;

    use super::{Ordering, weakened};

    number!(AtomicU32, atomic::AtomicU32, u32, []);
    number!(AtomicU64, atomic::AtomicU64, u64, []);
    number!(AtomicUsize, atomic::AtomicUsize, usize, []);
    flag!(atomic::AtomicBool, []);
    pointer!(Inner, []);
    fences!(atomic::fence);

    macro_rules! insides {
        ($name:ident $(<$parameter:ident>)?, $value:ty) => {
            impl $(<$parameter>)? $name $(<$parameter>)? {
                pub fn with_mut<R>(&mut self, access: impl FnOnce(&mut $value) -> R) -> R {
                    self.0.with_mut(access)
                }
            }
        };
    }

    insides!(AtomicU32, u32);
    insides!(AtomicU64, u64);
    insides!(AtomicUsize, usize);
    insides!(AtomicPtr<T>, *mut T);
}
