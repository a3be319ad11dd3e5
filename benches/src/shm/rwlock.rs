//! Peer: an open-addressing table in shared memory under a pthread reader-writer lock that processes share.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

use super::{ENTRIES, Reader, Writer, key, mix, value};

const SLOTS: usize = 4 * ENTRIES as usize;

#[repr(C)]
struct Shared {
    lock: libc::pthread_rwlock_t,
    /// Key and value; a free slot has the key 0.
    slots: [[u64; 2]; SLOTS],
}

/// A mapping of it.
pub struct Locked {
    shared: NonNull<Shared>,
}

impl Locked {
    fn map(path: &str, create: bool) -> Result<Self, String> {
        let file = File::options().read(true).write(true).create(create).truncate(false).open(path);
        let file = file.map_err(|error| error.to_string())?;
        file.set_len(size_of::<Shared>() as u64).map_err(|error| error.to_string())?;
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a mapping at an address of the kernel's choice replaces nothing.
        let at =
            unsafe { libc::mmap(std::ptr::null_mut(), size_of::<Shared>(), protection, flags, file.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error().to_string());
        }
        NonNull::new(at.cast()).map(|shared| Self { shared }).ok_or_else(|| "mapped at nothing".into())
    }

    /// A full one.
    ///
    /// # Errors
    /// The system's.
    pub fn fill(path: &str) -> Result<Self, String> {
        let mut this = Self::map(path, true)?;
        // SAFETY: plain data, which the next call initialises.
        let mut attributes: libc::pthread_rwlockattr_t = unsafe { std::mem::zeroed() };
        // SAFETY: a local.
        unsafe { libc::pthread_rwlockattr_init(&raw mut attributes) };
        // SAFETY: initialised above.
        unsafe { libc::pthread_rwlockattr_setpshared(&raw mut attributes, libc::PTHREAD_PROCESS_SHARED) };
        // SAFETY: in the mapping, which nobody else has yet.
        unsafe { libc::pthread_rwlock_init(this.lock(), &raw const attributes) };
        for number in 0..ENTRIES {
            this.update(key(number), value(key(number), 0));
        }
        Ok(this)
    }

    /// One that somebody else has filled.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &str) -> Result<Self, String> {
        Self::map(path, false)
    }

    fn lock(&self) -> *mut libc::pthread_rwlock_t {
        // SAFETY: inside the mapping.
        unsafe { &raw mut (*self.shared.as_ptr()).lock }
    }

    fn slot(&self, key: u64) -> *mut [u64; 2] {
        // 0 would be a free slot.
        let wanted = key.wrapping_add(1);
        let mut at = mix(wanted) as usize;
        loop {
            // SAFETY: inside the mapping.
            let slot = unsafe { &raw mut (*self.shared.as_ptr()).slots[at % SLOTS] };
            // SAFETY: under the lock.
            let found = unsafe { (*slot)[0] };
            if found == wanted || found == 0 {
                return slot;
            }
            at += 1;
        }
    }
}

impl Writer for Locked {
    fn update(&mut self, key: u64, value: u64) {
        // SAFETY: initialised by whoever filled it.
        unsafe { libc::pthread_rwlock_wrlock(self.lock()) };
        let slot = self.slot(key);
        // SAFETY: under the lock.
        unsafe { *slot = [key.wrapping_add(1), value] };
        // SAFETY: locked above.
        unsafe { libc::pthread_rwlock_unlock(self.lock()) };
    }
}

impl Reader for Locked {
    #[inline]
    fn get(&mut self, key: u64) -> Option<u64> {
        // SAFETY: initialised by whoever filled it.
        unsafe { libc::pthread_rwlock_rdlock(self.lock()) };
        let slot = self.slot(key);
        // SAFETY: under the lock.
        let [found, value] = unsafe { *slot };
        // SAFETY: locked above.
        unsafe { libc::pthread_rwlock_unlock(self.lock()) };
        (found != 0).then_some(value)
    }
}
