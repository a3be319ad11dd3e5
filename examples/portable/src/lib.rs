//! A small library written against `rcu::*`: which flavor that is says one line of `Cargo.toml`.
//!
//! What makes it portable:
//!
//! - Readers register ([`rcu::register`]), although `urcu-bp` would do it for them.
//! - A thread with a loop announces quiescent states, and is offline while it waits. QSBR needs both; in the other flavors
//!   neither emits an instruction.
//! - Who waits for a grace period and may be a reader does it by its [`rcu::Thread`].
//!
//! ```
//! use urcu_example_portable::{Settings, rcu};
//!
//! let settings = Settings::new();
//! let mut thread = rcu::register()?;
//! settings.set("colour", "green");
//! assert_eq!(settings.with("colour", &thread.read_lock(), str::len), Some(5));
//! settings.set_and_wait("colour", "blue", &mut thread);
//! assert_eq!(settings.get("colour", &thread).as_deref(), Some("blue"));
//! # Ok::<(), rcu::RegisterError>(())
//! ```

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use rcu;

type Table = BTreeMap<String, String>;

/// Names and values: many threads read them, few change them.
#[derive(Debug)]
pub struct Settings {
    current: rcu::Rcu<Table>,
    /// Updaters exclude each other; readers never look at it.
    updater: Mutex<()>,
}

/// A question to a thread that [serves](Settings::serve) the settings.
#[derive(Debug)]
pub struct Question {
    /// Whose value is wanted.
    pub name: String,
    /// Where the answer goes.
    pub answer: Sender<Option<String>>,
}

impl Settings {
    /// Nothing is set.
    pub fn new() -> Self {
        Self { current: rcu::Rcu::new(Table::new()), updater: Mutex::new(()) }
    }

    /// Calls `look` with the value, in the caller's section. Wait-free but for `look`.
    pub fn with<R>(&self, name: &str, guard: &rcu::Guard<'_>, look: impl FnOnce(&str) -> R) -> Option<R> {
        self.current.load(guard)?.get(name).map(|value| look(value))
    }

    /// A copy of the value, in a section of its own.
    pub fn get(&self, name: &str, thread: &rcu::Thread) -> Option<String> {
        self.with(name, &thread.read_lock(), str::to_owned)
    }

    /// The same on a thread that is registered, by whomever.
    pub fn get_here(&self, name: &str) -> Option<String> {
        self.with(name, &rcu::read_lock(), str::to_owned)
    }

    /// Sets the value. Readers see it from now on; the old table is dropped behind their backs. Inside sections too.
    pub fn set(&self, name: &str, value: &str) {
        // Dropping what was retired defers it.
        drop(self.replace(name, value));
    }

    /// Sets the value, and returns when no reader sees the table before it any more. Outside every section.
    pub fn set_and_wait(&self, name: &str, value: &str, thread: &mut rcu::Thread) -> Option<String> {
        self.replace(name, value)?.synchronize_with(thread).remove(name)
    }

    fn replace(&self, name: &str, value: &str) -> Option<rcu::Retired<Table>> {
        let _only: MutexGuard<'_, ()> = self.updater.lock().unwrap_or_else(PoisonError::into_inner);
        // The lock keeps the table from being replaced meanwhile, but it takes a section to say so in types.
        let mut table = self.current_table();
        table.insert(name.to_owned(), value.to_owned());
        self.current.publish(table)
    }

    fn current_table(&self) -> Table {
        // Updaters need not be readers: this thread is one for as long as it copies.
        let registered = rcu::register().ok();
        let copy = |guard: &rcu::Guard<'_>| self.current.load(guard).cloned().unwrap_or_default();
        match &registered {
            Some(thread) => copy(&thread.read_lock()),
            None => copy(&rcu::read_lock()),
        }
    }

    /// Answers questions until nobody can ask any more.
    ///
    /// # Errors
    ///
    /// When the thread cannot be registered.
    pub fn serve(&self, questions: &Receiver<Question>) -> Result<u64, rcu::RegisterError> {
        let mut thread = rcu::register()?;
        let mut answered = 0;
        while let Ok(question) = thread.while_offline(|| questions.recv()) {
            // Who asked may have gone.
            let _ = question.answer.send(self.get(&question.name, &thread));
            answered += 1;
            thread.quiescent_state();
        }
        Ok(answered)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}
