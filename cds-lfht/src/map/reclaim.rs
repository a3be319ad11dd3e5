//! How a map hands over what readers may still be looking at.

use core::ffi::c_void;

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

    /// # Safety
    ///
    /// As [`FlavorVtable::retire_with`].
    #[inline]
    pub(super) unsafe fn retire_with<T>(&self, value: *mut T, reclaim: unsafe extern "C" fn(*mut c_void)) {
        // SAFETY: as promised.
        unsafe { self.flavor.retire_with(value, reclaim) };
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
struct Retired(*mut c_void, unsafe extern "C" fn(*mut c_void));

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
        unsafe extern "C" fn drop_box<T>(value: *mut c_void) {
            // SAFETY: the one call that owns the box.
            drop(unsafe { Box::from_raw(value.cast::<T>()) });
        }
        // SAFETY: as promised.
        unsafe { self.retire_with(value, drop_box::<T>) };
    }

    /// # Safety
    ///
    /// As [`FlavorVtable::retire_with`].
    pub(super) unsafe fn retire_with<T>(&self, value: *mut T, reclaim: unsafe extern "C" fn(*mut c_void)) {
        let mut retired = self.retired.lock().expect("nobody panics with it");
        assert!(retired.iter().all(|other| other.0 != value.cast()), "retired twice");
        retired.push(Retired(value.cast(), reclaim));
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
