//! What the library asks of the operating system, and nothing else.

#[cfg(not(target_os = "linux"))]
compile_error!("userspace RCU for Rust needs Linux: futex, membarrier and per-thread signals");

mod exit_key;
mod fork_mark;
mod linux;
mod own_thread;
mod pages;
mod pthread_mutex;

pub(crate) use exit_key::{DESTRUCTOR_ROUNDS, ExitKey};
pub use fork_mark::ForkMark;
pub use linux::*;
pub use own_thread::*;
pub use pages::*;
pub use pthread_mutex::PthreadMutex;
