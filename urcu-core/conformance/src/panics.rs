//! Panics that a rule promises.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`, which has to panic, and returns its message.
#[track_caller]
pub fn message_of<R>(body: impl FnOnce() -> R) -> String {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(_) => panic!("no panic, although a rule was broken"),
        Err(payload) => match payload.downcast::<String>() {
            Ok(message) => *message,
            Err(payload) => {
                payload.downcast::<&str>().map_or_else(|_| String::from("?"), |message| (*message).to_owned())
            }
        },
    }
}

/// Fails unless `text` contains all `parts`.
#[track_caller]
pub fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}
