//! What flavors may differ in.

/// Where a flavor allows sections in signal handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InHandlers {
    /// Nowhere.
    Never,
    /// On threads that are registered.
    OnceRegistered,
    /// On any thread: its first section may be in a handler.
    Always,
}

/// One flavor's answers. Everything else is the same for all of them.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// The first section of a thread registers it.
    pub registers_itself: bool,
    /// Sections leave no trace; threads announce quiescent states, and are online or offline.
    pub quiescent_states: bool,
    /// Where sections are allowed in signal handlers.
    pub in_handlers: InHandlers,
    /// Grace periods wait for readers of other processes, so a forked child's for those of its parent.
    pub spans_processes: bool,
    /// What the environment of the tests' processes has in addition.
    pub environment: &'static [(&'static str, &'static str)],
}
