//! The library's test suite. It runs with every flavor, and does not say with which.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::sync::{Arc, Once};
use std::thread;
use std::time::Duration;

use urcu_example_portable::{Question, Settings, rcu};

/// Ends the process if a test hangs, which is how a forgotten quiescent state shows. Generous: it measures nothing.
fn limit() {
    static WATCHDOG: Once = Once::new();
    WATCHDOG.call_once(|| {
        thread::spawn(|| {
            thread::sleep(Duration::from_secs(900));
            eprintln!("watchdog: a test has not ended");
            std::process::abort();
        });
    });
}

#[test]
fn a_value_is_set_and_read() {
    limit();
    let settings = Settings::new();
    let thread = rcu::register().expect("not registered yet");
    assert_eq!(settings.get("a", &thread), None);
    settings.set("a", "1");
    settings.set("b", "2");
    settings.set("a", "3");
    assert_eq!(settings.get("a", &thread).as_deref(), Some("3"));
    assert_eq!(settings.get_here("b").as_deref(), Some("2"));
}

#[test]
fn a_thread_that_is_no_reader_may_update() {
    limit();
    let settings = Settings::new();
    settings.set("a", "1");
    let thread = rcu::register().expect("the update has left no registration behind");
    assert_eq!(settings.get("a", &thread).as_deref(), Some("1"));
}

#[test]
fn a_section_keeps_what_it_has_seen() {
    limit();
    let settings = Settings::new();
    settings.set("a", "old");
    let thread = rcu::register().expect("not registered yet");
    let guard = thread.read_lock();
    let seen = settings.with("a", &guard, |value| {
        settings.set("a", "new");
        value.to_owned()
    });
    assert_eq!(seen.as_deref(), Some("old"));
    assert_eq!(settings.with("a", &guard, str::to_owned).as_deref(), Some("new"));
}

#[test]
fn waiting_gives_the_old_value_back() {
    limit();
    let settings = Settings::new();
    let mut thread = rcu::register().expect("not registered yet");
    assert_eq!(settings.set_and_wait("a", "1", &mut thread), None);
    assert_eq!(settings.set_and_wait("a", "2", &mut thread).as_deref(), Some("1"));
}

#[test]
fn questions_are_answered_while_the_server_sleeps_in_between() {
    limit();
    let settings = Arc::new(Settings::new());
    settings.set("a", "0");
    let (ask, questions) = channel();
    let server = thread::spawn({
        let settings = Arc::clone(&settings);
        move || settings.serve(&questions).expect("registered")
    });
    for round in 0..50 {
        let (answer, answers) = channel();
        ask.send(Question { name: "a".into(), answer }).expect("the server runs");
        assert_eq!(answers.recv().expect("an answer"), Some(round.to_string()));
        // Waits for the server, which sleeps: in QSBR this ends because it is offline.
        let mut thread = rcu::register().expect("not registered yet");
        let before = settings.set_and_wait("a", &(round + 1).to_string(), &mut thread);
        assert_eq!(before, Some(round.to_string()));
    }
    drop(ask);
    assert_eq!(server.join().expect("no panic"), 50);
}

#[test]
fn readers_see_whole_tables_while_they_change() {
    limit();
    const UPDATES: u64 = 500;
    let settings = Settings::new();
    settings.set("left", "0");
    let (stop, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut thread = rcu::register().expect("not registered yet");
                let mut last = 0;
                while !stop.load(Relaxed) || reads.load(Relaxed) == 0 {
                    let value = settings.get("left", &thread).expect("set before");
                    let value: u64 = value.parse().expect("a whole number");
                    assert!(value >= last, "{value} after {last}");
                    last = value;
                    reads.fetch_add(1, Relaxed);
                    thread.quiescent_state();
                }
            });
        }
        for update in 1..=UPDATES {
            settings.set("left", &update.to_string());
        }
        stop.store(true, Relaxed);
    });
    let thread = rcu::register().expect("not registered yet");
    assert_eq!(settings.get("left", &thread), Some(UPDATES.to_string()));
    drop(thread);
    rcu::barrier().expect("not in a callback");
}
