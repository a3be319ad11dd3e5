//! A flavor as a table of C functions, for code that meets it at run time.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::{fmt, mem, ptr};

use crate::defer::Call;
use crate::domain::{Domain, DomainId};
use crate::error::{BarrierError, RegisterError};
use crate::flavor::Flavor;
use crate::guard::Guard;
use crate::head::{Callback, RcuHead};
use crate::raw;
use crate::registration::open_sections;
use crate::thread::{self, Thread};

/// The version of the layout and meaning of [`FlavorVtable`]'s fields. Fields are only ever added at the end, which
/// changes `size`; anything else changes this.
pub const VTABLE_VERSION: u32 = 1;

/// A flavor's operations: what a structure holds of the flavor it was made with.
///
/// Static data of the flavor crate, valid as long as that code is loaded. Every function is the raw tier's of the
/// same name, with its context rules, and safe to call from C: a broken rule that is a panic in Rust ends the process
/// here, after its message. Callbacks must not unwind.
///
/// Read paths never call through it: who looks something up brings a guard.
#[doc(alias = "rcu_flavor_struct")]
#[repr(C)]
pub struct FlavorVtable {
    /// Size of this structure in bytes, as the flavor was compiled.
    pub size: u32,
    /// [`VTABLE_VERSION`], as the flavor was compiled.
    pub version: u32,
    /// The address of the flavor's global state, as in [`DomainId`]: compare this, never function pointers.
    domain: *const Domain,
    /// The flavor's crate, ending in zero.
    name: *const c_char,
    /// Enters a section. Registered (bp: any thread). Wait-free.
    pub read_lock: unsafe extern "C" fn(),
    /// Leaves a section. Wait-free.
    pub read_unlock: unsafe extern "C" fn(),
    /// Non-zero inside a section (QSBR: online). Any thread. Wait-free.
    pub read_ongoing: unsafe extern "C" fn() -> c_int,
    /// Announces a quiescent state. Wait-free.
    pub quiescent_state: unsafe extern "C" fn(),
    /// Leaves the set of readers that grace periods wait for. Wait-free.
    pub thread_offline: unsafe extern "C" fn(),
    /// Joins it again. Registered. Wait-free.
    pub thread_online: unsafe extern "C" fn(),
    /// Registers the calling thread; 0, or a negative error number: `-EEXIST` (already registered), `-ENOMEM`,
    /// `-EAGAIN` (no thread-specific key), `-ECANCELED` (the thread is ending), `-ENOSYS` (the flavor cannot be used).
    pub register_thread: unsafe extern "C" fn() -> c_int,
    /// Ends the calling thread's registration. Outside every section.
    pub unregister_thread: unsafe extern "C" fn(),
    /// Waits for a grace period. Outside every section; QSBR: an online caller is offline meanwhile. Blocks.
    pub synchronize: unsafe extern "C" fn(),
    /// Waits for a grace period where that is certainly allowed: 0, or `-EDEADLK` without waiting when the calling
    /// thread is inside a section (QSBR: or is online by a `Thread`), or `-EIO` when no grace period can end any more. What
    /// safe code calls on a caller's behalf. Blocks.
    pub try_synchronize: unsafe extern "C" fn() -> c_int,
    /// Before `fork`. Outside every section. Blocks.
    pub fork_before: unsafe extern "C" fn(),
    /// After `fork`, in the parent.
    pub fork_after_parent: unsafe extern "C" fn(),
    /// After `fork`, in the child.
    pub fork_after_child: unsafe extern "C" fn(),
    /// Runs `callback(head)` after a grace period, on a worker. Any context.
    pub call_rcu: unsafe extern "C" fn(head: *mut RcuHead, callback: Callback),
    /// Runs `function(argument)` after a grace period, on a worker. Any context.
    pub defer: unsafe extern "C" fn(function: unsafe extern "C" fn(*mut c_void), argument: *mut c_void),
    /// Runs `function(argument)`, which only frees memory, after a grace period, on any thread, also inside a later call
    /// of this kind. Any context. `bytes` counts against the limits.
    pub defer_free:
        unsafe extern "C" fn(function: unsafe extern "C" fn(*mut c_void), argument: *mut c_void, bytes: usize),
    /// Waits until everything deferred before has run; 0, or `-EDEADLK` without waiting from a callback, inside a section
    /// (QSBR: or online by a `Thread`), or `-EIO` when no grace period can end any more. QSBR: an online caller is offline
    /// meanwhile. Blocks.
    pub barrier: unsafe extern "C" fn() -> c_int,
    /// The same for what the calling thread has deferred, run on it.
    pub defer_barrier_thread: unsafe extern "C" fn() -> c_int,
    /// A cookie for a grace period that starts after this call. Any context.
    pub start_poll: unsafe extern "C" fn() -> u64,
    /// Non-zero once the cookie's grace period has ended. Any context; wait-free.
    pub poll: unsafe extern "C" fn(cookie: u64) -> c_int,
    /// As `defer`, for the reclaiming of `bytes`, which count against the limits.
    pub defer_bytes:
        unsafe extern "C" fn(function: unsafe extern "C" fn(*mut c_void), argument: *mut c_void, bytes: usize),
    /// Enters a section as a guard does: it is checked, and a QSBR thread that holds one cannot announce a quiescent state.
    /// Null, and no section, when the calling thread is not registered (bp: never) or not online. Wait-free.
    pub enter: unsafe extern "C" fn() -> *mut c_void,
    /// Leaves the section that `enter` returned, on the same thread, once. Wait-free.
    pub leave: unsafe extern "C" fn(section: *mut c_void),
    /// Registers the calling thread as a `Thread` does, which is checked: results as `register_thread`, and `-EEXIST` also
    /// where a `Thread` (bp: nothing else) stands for a registration. QSBR: online.
    pub attach: unsafe extern "C" fn() -> c_int,
    /// Ends what `attach` began, on the same thread, once. Inside a section of `enter`: as soon as that has ended.
    pub detach: unsafe extern "C" fn(),
    /// How many sections of the calling thread are open, as far as they are counted: QSBR counts those of `enter` and of the
    /// free `read_lock()`, the others all. Any thread. Wait-free.
    pub open_sections: unsafe extern "C" fn() -> u64,
}

// SAFETY: immutable; the pointers refer to statics.
unsafe impl Send for FlavorVtable {}
// SAFETY: as above.
unsafe impl Sync for FlavorVtable {}

impl FlavorVtable {
    /// The table of flavor `F`, whose domain and name are `domain` and `name`.
    ///
    /// # Safety
    ///
    /// `domain` is what `F::domain()` returns.
    pub const unsafe fn new<F: Flavor>(domain: &'static Domain, name: &'static CStr) -> Self {
        #[allow(clippy::cast_possible_truncation, reason = "a few hundred bytes")]
        Self {
            size: size_of::<Self>() as u32,
            version: VTABLE_VERSION,
            domain,
            name: name.as_ptr(),
            read_lock: read_lock::<F>,
            read_unlock: read_unlock::<F>,
            read_ongoing: read_ongoing::<F>,
            quiescent_state: quiescent_state::<F>,
            thread_offline: thread_offline::<F>,
            thread_online: thread_online::<F>,
            register_thread: register_thread::<F>,
            unregister_thread: unregister_thread::<F>,
            synchronize: synchronize::<F>,
            try_synchronize: try_synchronize::<F>,
            fork_before: fork_before::<F>,
            fork_after_parent: fork_after_parent::<F>,
            fork_after_child: fork_after_child::<F>,
            call_rcu: call_rcu::<F>,
            defer: defer::<F>,
            defer_free: defer_free::<F>,
            barrier: barrier::<F>,
            defer_barrier_thread: defer_barrier_thread::<F>,
            start_poll: start_poll::<F>,
            poll: poll::<F>,
            defer_bytes: defer_bytes::<F>,
            enter: enter::<F>,
            leave: leave::<F>,
            attach: attach::<F>,
            detach: detach::<F>,
            open_sections: count_open::<F>,
        }
    }

    /// The identity of the flavor's domain.
    #[inline]
    pub fn domain(&self) -> DomainId {
        DomainId::of(self.domain)
    }

    /// The flavor's crate.
    pub fn name(&self) -> &'static str {
        // SAFETY: made from a `&'static CStr` in `new`.
        unsafe { CStr::from_ptr(self.name) }.to_str().unwrap_or("a flavor with a strange name")
    }

    /// Checks a table that comes from elsewhere before any other field is used.
    ///
    /// # Errors
    ///
    /// [`VtableError`]: another version, or shorter than the fields that this code knows.
    ///
    /// # Safety
    ///
    /// `table` points to at least the first two fields of a table, and to `size` bytes of it, for ever.
    pub unsafe fn check(table: *const Self) -> Result<&'static Self, VtableError> {
        // SAFETY: the caller promises this field.
        let version = unsafe { (*table).version };
        // SAFETY: the caller promises this field.
        let size = unsafe { (*table).size };
        if version != VTABLE_VERSION {
            return Err(VtableError::Version { found: version });
        }
        if (size as usize) < size_of::<Self>() {
            return Err(VtableError::Size { found: size });
        }
        // SAFETY: as long as this type, of the same version, and static.
        Ok(unsafe { &*table })
    }
}

impl fmt::Debug for FlavorVtable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlavorVtable")
            .field("name", &self.name())
            .field("version", &self.version)
            .field("size", &self.size)
            .field("domain", &self.domain())
            .finish_non_exhaustive()
    }
}

/// Why a vtable cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VtableError {
    /// It was compiled with another meaning of its fields.
    Version {
        /// Its version.
        found: u32,
    },
    /// It lacks fields that this code uses.
    Size {
        /// Its size in bytes.
        found: u32,
    },
}

impl fmt::Display for VtableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { found } => write!(f, "a flavor vtable of version {found}, not {VTABLE_VERSION}"),
            Self::Size { found } => {
                write!(f, "a flavor vtable of {found} bytes, shorter than {}", size_of::<FlavorVtable>())
            }
        }
    }
}

impl core::error::Error for VtableError {}

unsafe extern "C" fn read_lock<F: Flavor>() {
    // SAFETY: the caller keeps the rules of the raw tier.
    unsafe { raw::read_lock::<F>() }
}

unsafe extern "C" fn read_unlock<F: Flavor>() {
    // SAFETY: the caller keeps the rules of the raw tier.
    unsafe { raw::read_unlock::<F>() }
}

unsafe extern "C" fn read_ongoing<F: Flavor>() -> c_int {
    c_int::from(raw::read_ongoing::<F>())
}

unsafe extern "C" fn quiescent_state<F: Flavor>() {
    // SAFETY: the caller keeps the rules of the raw tier.
    unsafe { raw::quiescent_state::<F>() }
}

unsafe extern "C" fn thread_offline<F: Flavor>() {
    // SAFETY: the caller keeps the rules of the raw tier.
    unsafe { raw::thread_offline::<F>() }
}

unsafe extern "C" fn thread_online<F: Flavor>() {
    // SAFETY: the caller keeps the rules of the raw tier.
    unsafe { raw::thread_online::<F>() }
}

unsafe extern "C" fn register_thread<F: Flavor>() -> c_int {
    raw::register_thread::<F>().map_or_else(error_number, |()| 0)
}

fn error_number(error: RegisterError) -> c_int {
    match error {
        RegisterError::AlreadyRegistered { .. } => -libc::EEXIST,
        RegisterError::ThreadExiting { .. } => -libc::ECANCELED,
        RegisterError::OutOfMemory => -libc::ENOMEM,
        RegisterError::NoExitKey { .. } => -libc::EAGAIN,
        RegisterError::Init(_) => -libc::ENOSYS,
    }
}

unsafe extern "C" fn unregister_thread<F: Flavor>() {
    // SAFETY: the caller keeps the rules of the raw tier.
    unsafe { raw::unregister_thread::<F>() }
}

unsafe extern "C" fn synchronize<F: Flavor>() {
    // SAFETY: the caller keeps the rules of the raw tier.
    unsafe { raw::synchronize::<F>() }
}

/// Whether waiting is certainly allowed on the calling thread.
fn may_wait<F: Flavor>() -> bool {
    let reader = F::reader();
    open_sections::<F>(reader) == 0 && !thread::may_hide_guard::<F>(reader)
}

unsafe extern "C" fn try_synchronize<F: Flavor>() -> c_int {
    if !may_wait::<F>() {
        return -libc::EDEADLK;
    }
    match thread::try_wait_offline::<F>(F::reader()) {
        Ok(()) => 0,
        Err(_stuck) => -libc::EIO,
    }
}

unsafe extern "C" fn fork_before<F: Flavor>() {
    raw::fork_before::<F>();
}

unsafe extern "C" fn fork_after_parent<F: Flavor>() {
    // SAFETY: the caller keeps the rules of the raw tier.
    unsafe { raw::fork_after_parent::<F>() }
}

unsafe extern "C" fn fork_after_child<F: Flavor>() {
    // SAFETY: the caller keeps the rules of the raw tier.
    unsafe { raw::fork_after_child::<F>() }
}

unsafe extern "C" fn call_rcu<F: Flavor>(head: *mut RcuHead, callback: Callback) {
    // SAFETY: the caller keeps the rules of the raw tier.
    unsafe { raw::call_rcu::<F>(head, callback) }
}

unsafe extern "C" fn defer<F: Flavor>(function: unsafe extern "C" fn(*mut c_void), argument: *mut c_void) {
    // SAFETY: the caller keeps the rules of the raw tier.
    unsafe { raw::defer::<F>(function, argument) }
}

unsafe extern "C" fn defer_free<F: Flavor>(
    function: unsafe extern "C" fn(*mut c_void),
    argument: *mut c_void,
    bytes: usize,
) {
    // SAFETY: the caller keeps the rules of the raw tier.
    unsafe { raw::defer_free::<F>(function, argument, bytes) }
}

fn barrier_code(done: Result<(), BarrierError>) -> c_int {
    match done {
        Ok(()) => 0,
        Err(BarrierError::InCallback { .. }) => -libc::EDEADLK,
        Err(BarrierError::Stuck { .. }) => -libc::EIO,
    }
}

unsafe extern "C" fn barrier<F: Flavor>() -> c_int {
    if !may_wait::<F>() {
        return -libc::EDEADLK;
    }
    // SAFETY: the caller keeps the rules of the raw tier.
    let done = unsafe { raw::barrier::<F>() };
    barrier_code(done)
}

unsafe extern "C" fn defer_barrier_thread<F: Flavor>() -> c_int {
    if !may_wait::<F>() {
        return -libc::EDEADLK;
    }
    // SAFETY: the caller keeps the rules of the raw tier.
    let done = unsafe { raw::defer_barrier_thread::<F>() };
    barrier_code(done)
}

unsafe extern "C" fn start_poll<F: Flavor>() -> u64 {
    raw::start_poll::<F>()
}

unsafe extern "C" fn poll<F: Flavor>(cookie: u64) -> c_int {
    c_int::from(raw::poll::<F>(cookie))
}

unsafe extern "C" fn defer_bytes<F: Flavor>(
    function: unsafe extern "C" fn(*mut c_void),
    argument: *mut c_void,
    bytes: usize,
) {
    // SAFETY: the caller keeps the rules of `raw::defer`.
    unsafe { crate::defer::add_remote::<F>(Call { function, argument }, bytes) };
}

unsafe extern "C" fn enter<F: Flavor>() -> *mut c_void {
    Guard::<F>::try_current().map_or(ptr::null_mut(), Guard::into_raw)
}

unsafe extern "C" fn leave<F: Flavor>(section: *mut c_void) {
    // SAFETY: the caller gives what `enter` returned.
    drop(unsafe { Guard::<F>::from_raw(section) });
}

unsafe extern "C" fn attach<F: Flavor>() -> c_int {
    Thread::<F>::register().map_or_else(error_number, |thread| {
        // `detach` drops it.
        mem::forget(thread);
        0
    })
}

unsafe extern "C" fn detach<F: Flavor>() {
    // SAFETY: the caller promises that `attach` has left one, on this thread.
    drop(unsafe { Thread::<F>::forgotten() });
}

unsafe extern "C" fn count_open<F: Flavor>() -> u64 {
    open_sections::<F>(F::reader())
}
