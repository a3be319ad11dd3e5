//! What the library asks of the operating system, and nothing else.

#[cfg(not(target_os = "linux"))]
compile_error!("userspace RCU for Rust needs Linux: futex, membarrier and per-thread signals");

mod bare_thread;
mod exit_key;
mod fork_mark;
mod linux;
mod pages;
mod pthread_mutex;

pub use bare_thread::*;
pub(crate) use exit_key::{DESTRUCTOR_ROUNDS, ExitKey};
pub use fork_mark::ForkMark;
pub use linux::*;
pub use pages::*;
pub use pthread_mutex::PthreadMutex;
