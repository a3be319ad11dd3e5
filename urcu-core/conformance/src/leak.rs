//! What tests leave behind on purpose.

/// Leaks it, and says so to the leak checker, which then reports what is lost by mistake only.
pub fn leak<T: ?Sized>(value: Box<T>) -> &'static mut T {
    let value = Box::leak(value);
    #[cfg(all(sanitized, not(urcu_tsan)))]
    {
        unsafe extern "C" {
            fn __lsan_ignore_object(object: *const core::ffi::c_void);
        }
        // SAFETY: a function of the sanitizer's run-time library, which programs with this `cfg` contain. It takes any address,
        // and reads nothing there.
        unsafe { __lsan_ignore_object(core::ptr::from_ref(value).cast()) };
    }
    value
}
