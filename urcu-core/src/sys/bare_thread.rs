//! Threads without the standard library.
//!
//! A thread of the standard library takes a lock when it starts and when it ends, around what it knows of all threads' stacks.
//! A child that is forked at such a moment inherits the lock taken, and none of its own threads of that kind ever gets to its
//! first line. What the system's `pthread_create` locks, the system's `fork` puts right.
//!
//! What they lack: a name in the messages of panics (the kernel knows it), and a message before the end by stack overflow.

use core::ffi::{CStr, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the standard library gives its threads.
const STACK_BYTES: usize = 2 << 20;

type Body = Box<dyn FnOnce() + Send>;

/// Makes a thread that runs `body`. Nobody joins it; a panic ends it and nothing else.
///
/// # Errors
///
/// The system's error number.
pub fn spawn_bare_thread(body: Body) -> Result<(), i32> {
    extern "C" fn start(body: *mut c_void) -> *mut c_void {
        // SAFETY: made by `into_raw` below, for this call alone.
        let body = unsafe { Box::from_raw(body.cast::<Body>()) };
        // Has been told of by the panic hook.
        drop(catch_unwind(AssertUnwindSafe(body)));
        ptr::null_mut()
    }
    let mut attributes = MaybeUninit::uninit();
    // SAFETY: a valid pointer to a local, which the call fills.
    match unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) } {
        0 => (),
        errno => return Err(errno),
    }
    // Neither can fail: the size is far above the system's minimum. If it did all the same, the thread would run as well.
    // SAFETY: initialised above.
    unsafe { libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK_BYTES) };
    // SAFETY: as above.
    unsafe { libc::pthread_attr_setdetachstate(attributes.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED) };
    let body = Box::into_raw(Box::new(body));
    let mut thread = MaybeUninit::uninit();
    // SAFETY: valid pointers to locals; `start` takes the box over if it is called at all.
    let code = unsafe { libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), start, body.cast()) };
    // SAFETY: initialised above, and not used any more.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    if code != 0 {
        // SAFETY: no thread was made that could have taken it.
        drop(unsafe { Box::from_raw(body) });
        return Err(code);
    }
    Ok(())
}

/// Names the calling thread. The kernel keeps 15 bytes.
pub fn set_thread_name(name: &CStr) {
    // SAFETY: a valid C string, of which at most 16 bytes are copied.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn it_runs_under_its_name() {
        let (sender, receiver) = channel();
        let body = move || {
            set_thread_name(c"a name of more than 15 bytes");
            sender.send(super::super::thread_name()).expect("the test waits");
        };
        spawn_bare_thread(Box::new(body)).expect("a thread");
        assert_eq!(receiver.recv().expect("the thread sends"), "a name of more ");
    }

    #[test]
    fn a_panic_ends_the_thread_alone() {
        let (sender, receiver) = channel::<()>();
        let body = move || {
            let _dropped_by_unwinding = sender;
            panic!("as intended");
        };
        spawn_bare_thread(Box::new(body)).expect("a thread");
        assert!(receiver.recv().is_err());
    }
}
