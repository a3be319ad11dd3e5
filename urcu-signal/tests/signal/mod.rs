//! The barrier signal: which one, whose, and what it does to the threads that receive it.

use std::fs::File;
use std::io::{Read, Write, pipe};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::thread;

use urcu_conformance::panics::{assert_says, message_of};
use urcu_conformance::{Gate, OwnProcess, RaisedAtEnd, libc, signal, task, until};

use crate::rcu;
use crate::suite::cast::{
    Inside, NAME, Updater, alone, assert_still_works, join, named, on_a_thread, register, registered,
};

const DEFAULT: i32 = libc::SIGUSR1;

#[test]
fn a_signal_that_somebody_handles_is_an_error() {
    let takes: [(&str, fn()); 2] = [
        ("handled", || signal::handle(DEFAULT, || ())),
        // A program may have been started with the signal ignored, and rely on that.
        ("ignored", || signal::ignore(DEFAULT)),
    ];
    for (role, take) in takes {
        let body = || {
            take();
            let taken = rcu::InitError::SignalTaken { signal: DEFAULT };
            assert_eq!(rcu::init(), Err(taken));
            assert_eq!(rcu::register().expect_err("taken"), rcu::RegisterError::Init(taken));
            assert_says(&taken.to_string(), &["signal 10", "init_signal"]);
            assert_eq!(rcu::init_signal(DEFAULT), Err(taken));
            assert_eq!(registered(), 0);
            // There are others.
            rcu::init_signal(libc::SIGUSR2).expect("free");
            rcu::init().expect("chosen already");
            assert_still_works();
            if role == "handled" {
                // The owner of the first one has not noticed.
                signal::interrupt(task::id(), DEFAULT);
            }
        };
        let _ = OwnProcess::new().role(role).run(body).succeeded();
    }
}

#[test]
fn the_signal_is_chosen_once() {
    let choices = [
        ("default", DEFAULT),
        ("standard", libc::SIGWINCH),
        ("first real-time", libc::SIGRTMIN()),
        ("last real-time", libc::SIGRTMAX()),
    ];
    for (role, chosen) in choices {
        let body = || {
            rcu::init_signal(chosen).expect("free");
            rcu::init_signal(chosen).expect("the same again");
            rcu::init().expect("chosen already");
            let other = if chosen == libc::SIGUSR2 { libc::SIGHUP } else { libc::SIGUSR2 };
            let error = rcu::init_signal(other).expect_err("another one");
            assert_eq!(error, rcu::InitError::SignalAlreadyChosen { signal: chosen });
            assert_says(&error.to_string(), &[&format!("signal {chosen}")]);
            assert!(signal::flags(chosen) & libc::SA_RESTART != 0);
            assert_still_works();
            // The default one stays the program's own.
            if chosen != DEFAULT {
                signal::handle(DEFAULT, || ());
                signal::interrupt(task::id(), DEFAULT);
                assert_still_works();
            }
        };
        let _ = OwnProcess::new().role(role).run(body).succeeded();
    }
}

#[test]
fn by_default_it_is_the_first_user_signal() {
    alone(|| {
        rcu::init().expect("free");
        assert!(signal::flags(DEFAULT) & libc::SA_RESTART != 0);
        assert_eq!(rcu::init_signal(libc::SIGUSR2), Err(rcu::InitError::SignalAlreadyChosen { signal: DEFAULT }),);
        assert_still_works();
    });
}

#[test]
fn many_threads_choose_at_once() {
    alone(|| {
        let (won, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for at in 0..8 {
                let (won, lost) = (&won, &lost);
                scope.spawn(move || match rcu::init_signal([libc::SIGUSR1, libc::SIGUSR2][at % 2]) {
                    Ok(()) => won.fetch_add(1, Ordering::Relaxed),
                    Err(rcu::InitError::SignalAlreadyChosen { .. }) => lost.fetch_add(1, Ordering::Relaxed),
                    Err(error) => panic!("{error}"),
                });
            }
        });
        assert_eq!((won.into_inner(), lost.into_inner()), (4, 4));
        assert_still_works();
    });
}

#[test]
fn some_signals_cannot_be_used() {
    alone(|| {
        let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];
        // 32 and 33 are the C library's own.
        for number in [libc::SIGKILL, libc::SIGSTOP, -1, 0, 32, 33, 65, 1000, i32::MIN].into_iter().chain(faults) {
            assert_eq!(rcu::init_signal(number), Err(rcu::InitError::SignalUnusable { signal: number }));
        }
        // Failing has chosen nothing.
        rcu::init_signal(libc::SIGUSR2).expect("free");
        assert_still_works();
    });
}

#[test]
fn blocked_system_calls_go_on() {
    alone(|| {
        let (mut output, mut input) = pipe().expect("a pipe");
        static READING: AtomicI32 = AtomicI32::new(0);
        let reader = named("blocked", move || {
            let thread = register();
            READING.store(task::id(), Ordering::Release);
            let mut bytes = [0; 5];
            // One bare system call, so that an interruption would be seen.
            // SAFETY: an open descriptor, and a buffer that is valid for its length.
            let count = unsafe { libc::read(output.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len()) };
            assert_eq!(count, 5, "{}", std::io::Error::last_os_error());
            assert_eq!(output.read(&mut [0; 1]).expect("readable"), 1);
            drop(thread);
            bytes
        });
        until("the reader is blocked", || {
            let tid = READING.load(Ordering::Acquire);
            tid != 0 && task::is_asleep(tid)
        });
        for _ in 0..100 {
            rcu::synchronize();
        }
        assert!(!reader.is_finished());
        input.write_all(b"hello.").expect("writable");
        assert_eq!(&join(reader), b"hello");
    });
}

#[test]
fn readers_blocked_inside_sections_are_reached() {
    alone(|| {
        // The barrier does not wait for sections; grace periods do.
        let inside = Inside::enter();
        let updater = Updater::start();
        updater.assert_waiting();
        on_a_thread(|| drop(register().read_lock()));
        inside.leave();
        updater.finish();
    });
}

#[test]
fn registration_unblocks_the_signal() {
    alone(|| {
        signal::block(DEFAULT, true);
        let inside = on_a_thread(|| {
            // Inherited by every thread that is made here.
            assert!(signal::is_blocked(DEFAULT));
            let thread = register();
            assert!(!signal::is_blocked(DEFAULT));
            drop(thread);
            Inside::enter()
        });
        let updater = Updater::start();
        updater.assert_waiting();
        inside.leave();
        updater.finish();
    });
}

#[test]
fn a_thread_that_blocks_it_again_holds_up_grace_periods() {
    alone(|| {
        let thread = register();
        signal::block(DEFAULT, true);
        let updater = Updater::start();
        updater.assert_waiting();
        signal::block(DEFAULT, false);
        updater.finish();
        drop(thread);
    });
}

#[test]
fn a_handler_that_takes_its_place_is_noticed() {
    let body = || {
        let (leave, told) = std::sync::mpsc::channel::<()>();
        let [is_registered, may_take, has_taken] = [(); 3].map(|()| Arc::new(Gate::new()));
        let reader = {
            let [is_registered, may_take, has_taken] = [&is_registered, &may_take, &has_taken].map(Arc::clone);
            named("reader", move || {
                let thread = register();
                is_registered.open();
                may_take.wait();
                // On this thread, so that no run of the flavor's handler is left here that could still answer.
                signal::handle(DEFAULT, || ());
                has_taken.open();
                let _ = told.recv();
                drop(thread);
            })
        };
        // Its registration has ended, and with it what answers to requests by itself.
        is_registered.wait();
        rcu::synchronize();
        may_take.open();
        has_taken.wait();
        // Each caller is told, and nobody hangs.
        for _ in 0..3 {
            assert_says(&on_a_thread(|| message_of(rcu::synchronize)), &[NAME, "signal 10", "init_signal"]);
        }
        drop(leave);
        join(reader);
        // With nobody to send it to, it does not matter.
        rcu::synchronize();
    };
    let _ = OwnProcess::new().run(body).succeeded();
}

#[test]
fn interrupted_threads_keep_their_errno() {
    alone(|| {
        let (stop, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            let _stop = RaisedAtEnd(&stop);
            scope.spawn(|| {
                let thread = register();
                while !stop.load(Ordering::Acquire) {
                    // Fails, and sets errno; then some time for a signal to come.
                    assert!(File::open("/nowhere/at/all").is_err());
                    let before = std::io::Error::last_os_error().raw_os_error();
                    (0..200).for_each(|_| drop(thread.read_lock()));
                    assert_eq!(std::io::Error::last_os_error().raw_os_error(), before);
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
            until("the reader runs", || rounds.load(Ordering::Relaxed) > 10);
            for _ in 0..200 {
                rcu::synchronize();
            }
        });
    });
}

#[test]
fn a_late_signal_finds_threads_in_any_state() {
    alone(|| {
        // Sent by hand at threads that are registered, are not any more, or never were.
        let thread = register();
        for _ in 0..10 {
            assert!(signal::send(task::id(), DEFAULT));
        }
        drop(thread);
        for _ in 0..10 {
            assert!(signal::send(task::id(), DEFAULT));
        }
        on_a_thread(|| assert!(signal::send(task::id(), DEFAULT)));
        assert_still_works();
    });
}
