//! Threads as C code makes and ends them.

use std::ffi::c_void;
use std::ptr;

/// A thread made by `pthread_create`, without anything of Rust's own around it.
#[derive(Debug)]
#[must_use = "a thread has to be joined"]
pub struct CThread(libc::pthread_t);

type Body = Box<dyn FnOnce() + Send>;

extern "C" fn main(body: *mut c_void) -> *mut c_void {
    // SAFETY: made by `Box::into_raw` in `start`, for this thread alone.
    let body = unsafe { Box::from_raw(body.cast::<Body>()) };
    body();
    ptr::null_mut()
}

/// Runs `body` on a new thread. A panic in it ends the process.
///
/// What forked children use. A thread of the standard library takes a lock of the library's when it starts and when it ends; a child
/// that is forked meanwhile has the lock taken for ever.
pub fn start(body: impl FnOnce() + Send + 'static) -> CThread {
    let body: *mut Body = Box::into_raw(Box::new(Box::new(body)));
    let mut thread = 0;
    // SAFETY: a valid pointer to a local, default attributes, and a function that takes what it is given.
    let code = unsafe { libc::pthread_create(&raw mut thread, ptr::null(), main, body.cast()) };
    assert_eq!(code, 0, "pthread_create");
    CThread(thread)
}

impl CThread {
    /// Waits for its end, whichever way it ended.
    pub fn join(self) {
        // SAFETY: a thread that has not been joined yet.
        let code = unsafe { libc::pthread_join(self.0, ptr::null_mut()) };
        assert_eq!(code, 0, "pthread_join");
    }
}

/// Ends the calling thread by a bare system call: no destructor of any kind runs.
pub fn exit_without_destructors() -> ! {
    // SAFETY: ends this thread only; what is on its stack is leaked. `pthread_join` works all the same, since the
    // kernel announces the end.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("a system call that does not return")
}

/// A thread-specific key of `pthread_key_create`, as C libraries use for their own destructors.
#[derive(Clone, Copy, Debug)]
pub struct ExitKey(libc::pthread_key_t);

struct Armed {
    key: ExitKey,
    round: usize,
    last: usize,
    action: Box<dyn FnMut(usize)>,
}

extern "C" fn destructor(armed: *mut c_void) {
    // SAFETY: made by `set` for this thread; the system has cleared the value before this call.
    let mut armed = unsafe { Box::from_raw(armed.cast::<Armed>()) };
    (armed.action)(armed.round);
    armed.round += 1;
    if armed.round <= armed.last {
        armed.key.set(armed);
    }
}

impl ExitKey {
    /// A new key. The system calls destructors of older keys first, in each round.
    #[allow(clippy::new_without_default, reason = "makes something in the process")]
    pub fn new() -> Self {
        let mut key = 0;
        // SAFETY: a valid pointer to a local, and a destructor for the values that `set` stores.
        let code = unsafe { libc::pthread_key_create(&raw mut key, Some(destructor)) };
        assert_eq!(code, 0, "pthread_key_create");
        Self(key)
    }

    /// Runs `action(round)` when the calling thread ends, in rounds 1 to `last`; the system has four.
    ///
    /// A panic in it ends the process.
    pub fn at_exit(self, last: usize, action: impl FnMut(usize) + 'static) {
        self.set(Box::new(Armed { key: self, round: 1, last, action: Box::new(action) }));
    }

    fn set(self, armed: Box<Armed>) {
        // SAFETY: the key exists for ever; the destructor takes the value over.
        let code = unsafe { libc::pthread_setspecific(self.0, Box::into_raw(armed).cast()) };
        assert_eq!(code, 0, "pthread_setspecific");
    }
}
