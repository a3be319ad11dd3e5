//! Threads of the library's own, also in forked children.
//!
//! A thread of the standard library takes a lock when it starts and when it ends, around what it knows of all threads' stacks.
//! A child that is forked at such a moment inherits the lock taken, and none of its own threads of that kind ever gets to its
//! first line. So in forked children threads are made by `pthread_create`: what that locks, the system's `fork` puts right. What
//! they lack is a name that the standard library knows, for the messages of panics, and a message before the end by stack overflow.

use core::ffi::{CStr, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::Builder;

use super::linux::was_forked;
use crate::sync::{AtomicBool, Ordering};

/// Whether this process is known to have been forked.
static IN_FORKED_CHILD: AtomicBool = AtomicBool::new(false);

/// One that was forked before it used RCU needs no hooks, and asks the system.
fn is_forked_child() -> bool {
    // Relaxed: see `note_forked_child`; and a note that is missed is made again.
    if !IN_FORKED_CHILD.load(Ordering::Relaxed) && was_forked() {
        note_forked_child();
    }
    IN_FORKED_CHILD.load(Ordering::Relaxed)
}

/// From now on threads are made without the standard library. Async-signal-safe.
pub fn note_forked_child() {
    // Relaxed: the child has one thread, and makes the others.
    IN_FORKED_CHILD.store(true, Ordering::Relaxed);
}

/// What the standard library gives its threads.
const STACK_BYTES: usize = 2 << 20;

type Body = Box<dyn FnOnce() + Send>;

/// Makes a thread that runs `body`. Nobody joins it; a panic ends it and nothing else. There is no zero byte in `name`, of which
/// the kernel keeps 15.
///
/// # Errors
///
/// The system's error number.
pub fn spawn_thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), i32> {
    if is_forked_child() {
        let name = CString::new(name).unwrap_or_default();
        return spawn_bare_thread(Box::new(move || {
            set_thread_name(&name);
            body();
        }));
    }
    let spawned = Builder::new().name(name.to_owned()).spawn(body);
    spawned.map(drop).map_err(|error| error.raw_os_error().unwrap_or(0))
}

fn spawn_bare_thread(body: Body) -> Result<(), i32> {
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
fn set_thread_name(name: &CStr) {
    // SAFETY: a valid C string, of which at most 16 bytes are copied.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn it_runs_under_its_name() {
        let name_of_thread = || {
            let (sender, receiver) = channel();
            let body = move || sender.send(super::super::thread_name()).expect("the test waits");
            spawn_thread("a name of more than 15 bytes", body).expect("a thread");
            receiver.recv().expect("the thread sends")
        };
        assert_eq!(name_of_thread(), "a name of more ");
        note_forked_child();
        assert_eq!(name_of_thread(), "a name of more ", "in a forked child");
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
