//! Locks around the value: what a program does that knows nothing of deferred reclamation. Updaters free at once, since
//! nobody can be reading, and readers and updaters keep each other out.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Peer;
use super::cell::Cell;
use crate::blocks::{BLOCK_SIZE, Manner};
use crate::reclaim::{Each, Reclaimer, Updater};
use crate::workload::{LIVE, Looped, ReadSide, Subject, Worker};

/// `std::sync::RwLock`.
pub const STD_RWLOCK: Peer = peer("std-rwlock", || Box::new(Shared::<RwLock<Boxed>>::new()));
/// `parking_lot::RwLock`.
pub const PARKING_LOT_RWLOCK: Peer =
    peer("parking_lot-rwlock", || Box::new(Shared::<parking_lot::RwLock<Boxed>>::new()));
/// `std::sync::Mutex`.
pub const STD_MUTEX: Peer = peer("std-mutex", || Box::new(Shared::<Mutex<Boxed>>::new()));
/// `parking_lot::Mutex`.
pub const PARKING_LOT_MUTEX: Peer = peer("parking_lot-mutex", || Box::new(Shared::<parking_lot::Mutex<Boxed>>::new()));

/// Taken twice by one thread, a lock may wait for itself: no nesting.
const fn peer(name: &'static str, subject: fn() -> Box<dyn Reclaimer>) -> Peer {
    Peer { name, nests: false, subject }
}

type Contents = Cell<7>;
type Boxed = Box<Contents>;

const _: () = assert!(size_of::<Contents>() == BLOCK_SIZE);

/// A lock around a value, for readers and updaters.
pub trait Lock<T>: Send + Sync {
    /// What readers hold.
    type Shared<'l>: std::ops::Deref<Target = T>
    where
        Self: 'l;
    /// What updaters hold.
    type Exclusive<'l>: std::ops::DerefMut<Target = T>
    where
        Self: 'l;

    /// Around a value.
    fn around(value: T) -> Self;
    /// For a reader.
    fn shared(&self) -> Self::Shared<'_>;
    /// For an updater.
    fn exclusive(&self) -> Self::Exclusive<'_>;
}

impl<T: Send + Sync + 'static> Lock<T> for RwLock<T> {
    type Shared<'l> = RwLockReadGuard<'l, T>;
    type Exclusive<'l> = RwLockWriteGuard<'l, T>;

    fn around(value: T) -> Self {
        Self::new(value)
    }

    #[inline(always)]
    fn shared(&self) -> Self::Shared<'_> {
        self.read().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline(always)]
    fn exclusive(&self) -> Self::Exclusive<'_> {
        self.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + Sync + 'static> Lock<T> for Mutex<T> {
    type Shared<'l> = MutexGuard<'l, T>;
    type Exclusive<'l> = MutexGuard<'l, T>;

    fn around(value: T) -> Self {
        Self::new(value)
    }

    #[inline(always)]
    fn shared(&self) -> Self::Shared<'_> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline(always)]
    fn exclusive(&self) -> Self::Exclusive<'_> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + Sync + 'static> Lock<T> for parking_lot::RwLock<T> {
    type Shared<'l> = parking_lot::RwLockReadGuard<'l, T>;
    type Exclusive<'l> = parking_lot::RwLockWriteGuard<'l, T>;

    fn around(value: T) -> Self {
        Self::new(value)
    }

    #[inline(always)]
    fn shared(&self) -> Self::Shared<'_> {
        self.read()
    }

    #[inline(always)]
    fn exclusive(&self) -> Self::Exclusive<'_> {
        self.write()
    }
}

impl<T: Send + Sync + 'static> Lock<T> for parking_lot::Mutex<T> {
    type Shared<'l> = parking_lot::MutexGuard<'l, T>;
    type Exclusive<'l> = parking_lot::MutexGuard<'l, T>;

    fn around(value: T) -> Self {
        Self::new(value)
    }

    #[inline(always)]
    fn shared(&self) -> Self::Shared<'_> {
        self.lock()
    }

    #[inline(always)]
    fn exclusive(&self) -> Self::Exclusive<'_> {
        self.lock()
    }
}

struct Shared<L>(L);

impl<L: Lock<Boxed>> Shared<L> {
    fn new() -> Self {
        Self(L::around(Box::new(Contents::filled())))
    }

    /// Allocates before the lock is taken and frees after it has been given back.
    #[inline(always)]
    fn replace(&self) -> Boxed {
        let fresh = Box::new(Contents::filled());
        std::mem::replace(&mut *self.0.exclusive(), fresh)
    }
}

impl<L: Lock<Boxed>> Subject for Shared<L> {
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
        Ok(Box::new(Looped(Side(&self.0))))
    }
}

impl<L: Lock<Boxed>> Reclaimer for Shared<L> {
    fn updater(&self, manner: Manner) -> Result<Box<dyn Updater + '_>, String> {
        Ok(match manner {
            Manner::Plain => Box::new(Each(|| drop(self.replace()))),
            Manner::Reading => Box::new(Each(|| {
                assert_eq!(self.0.shared().live(), LIVE, "wrong answer");
                drop(self.replace());
            })),
            Manner::Dropping => Box::new(Each(|| self.replace().end())),
        })
    }

    /// Keeps every updater out.
    fn stall(&self, inside: &mut dyn FnMut()) -> Result<(), String> {
        let _held = self.0.shared();
        inside();
        Ok(())
    }

    /// Everything is freed at once, but for the last one, which is freed with the lock.
    fn settle(&self) -> Result<bool, String> {
        Ok(false)
    }
}

struct Side<'s, L>(&'s L);

impl<L: Lock<Boxed>> ReadSide for Side<'_, L> {
    #[inline(always)]
    fn section(&mut self) -> u64 {
        self.0.shared().live()
    }

    fn nested_sections(&mut self, _: u64) -> u64 {
        unreachable!("a lock is not taken twice")
    }
}
