//! Ctrl-C: the first one ends the run after the measurement at hand, the second one ends it at once.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn on_interrupt(_: libc::c_int) {
    // Relaxed: a flag that is polled, it guards nothing.
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Catches the first Ctrl-C from here on.
pub fn install() {
    let action = SigAction::new(
        SigHandler::Handler(on_interrupt),
        // Reset: the second Ctrl-C finds the default action. Restart: no measured call sees EINTR.
        SaFlags::SA_RESETHAND | SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    // SAFETY: the handler only stores to an atomic, which is allowed in signal handlers.
    let _ = unsafe { sigaction(Signal::SIGINT, &action) };
}

/// Whether the user wants to stop.
pub fn requested() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
