//! How a map hands over what readers may still be looking at.

use urcu_core::FlavorVtable;

/// Retires through the flavor.
#[cfg(not(urcu_loom))]
#[derive(Debug)]
pub(super) struct Reclaim {
    flavor: &'static FlavorVtable,
}

#[cfg(not(urcu_loom))]
impl Reclaim {
    pub(super) fn new(flavor: &'static FlavorVtable) -> Self {
        Self { flavor }
    }

    #[inline]
    pub(super) fn flavor(&self) -> &'static FlavorVtable {
        self.flavor
    }

    /// # Safety
    ///
    /// As [`FlavorVtable::retire_raw`].
    #[inline]
    pub(super) unsafe fn retire_box<T>(&self, value: *mut T) {
        // SAFETY: as promised.
        unsafe { self.flavor.retire_raw(value) };
    }
}

/// Keeps what was retired until the end: the model checker's threads are no readers of the flavor.
#[cfg(urcu_loom)]
#[derive(Debug)]
pub(super) struct Reclaim {
    flavor: &'static FlavorVtable,
    retired: std::sync::Mutex<Vec<Retired>>,
}

#[cfg(urcu_loom)]
#[derive(Debug)]
struct Retired(*mut u8, unsafe fn(*mut u8));

#[cfg(urcu_loom)]
// SAFETY: given up by whoever retired it.
unsafe impl Send for Retired {}

#[cfg(urcu_loom)]
impl Reclaim {
    pub(super) fn new(flavor: &'static FlavorVtable) -> Self {
        Self { flavor, retired: std::sync::Mutex::new(Vec::new()) }
    }

    pub(super) fn flavor(&self) -> &'static FlavorVtable {
        self.flavor
    }

    /// # Safety
    ///
    /// As [`FlavorVtable::retire_raw`].
    pub(super) unsafe fn retire_box<T>(&self, value: *mut T) {
        unsafe fn drop_box<T>(value: *mut u8) {
            // SAFETY: the one call that owns the box.
            drop(unsafe { Box::from_raw(value.cast::<T>()) });
        }
        let mut retired = self.retired.lock().expect("nobody panics with it");
        assert!(retired.iter().all(|other| other.0 != value.cast()), "retired twice");
        retired.push(Retired(value.cast(), drop_box::<T>));
    }
}

#[cfg(urcu_loom)]
impl Drop for Reclaim {
    fn drop(&mut self) {
        for Retired(value, drop) in self.retired.get_mut().expect("nobody panics with it").drain(..) {
            // SAFETY: given up by whoever retired it; once.
            unsafe { drop(value) };
        }
    }
}
