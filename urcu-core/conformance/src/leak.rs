//! What tests leave behind on purpose, and what the leak checker takes for lost that is not.

#[cfg(all(sanitized, not(urcu_tsan)))]
unsafe extern "C" {
    fn __lsan_ignore_object(object: *const core::ffi::c_void);
    fn __lsan_do_recoverable_leak_check() -> core::ffi::c_int;
}

/// Leaks it, and says so to the leak checker, which then reports what is lost by mistake only.
pub fn leak<T: ?Sized>(value: Box<T>) -> &'static mut T {
    let value = Box::leak(value);
    #[cfg(all(sanitized, not(urcu_tsan)))]
    {
        // SAFETY: a function of the sanitizer's run-time library, which programs with this `cfg` contain. It takes any address,
        // and reads nothing there.
        unsafe { __lsan_ignore_object(core::ptr::from_ref(value).cast()) };
    }
    value
}

/// Before the process ends: waits, though not for ever, until the leak checker finds nothing.
///
/// The checker looks a thread's stack up by the thread's id, and of several threads that had the same id it takes the oldest, which
/// has ended: in a process with ten thousands of threads, what the youngest holds seems to be lost. A worker that
/// was stopped may be on the way to its thread's end; what is lost indeed is still lost later, and is then reported at the exit.
pub(crate) fn settle() {
    #[cfg(all(sanitized, not(urcu_tsan)))]
    for pause in 0..9 {
        // SAFETY: as above; takes nothing, and stops the other threads while it looks.
        if unsafe { __lsan_do_recoverable_leak_check() } == 0 {
            return;
        }
        std::thread::sleep(core::time::Duration::from_millis(10 << pause));
    }
}
