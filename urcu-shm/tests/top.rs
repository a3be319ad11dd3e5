//! `urcu-shm-top` tells who reads in a segment.

use std::os::fd::AsRawFd;
use std::process::Command;

use urcu_conformance::OwnProcess;
use urcu_shm::Segment;

fn top(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_urcu-shm-top")).args(arguments).output().expect("the command");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

#[test]
fn it_lists_readers_sections_and_grace_periods() {
    let _ = OwnProcess::new()
        .run(|| {
            let segment = Segment::create_memfd("urcu-shm test", 1 << 12).expect("a segment");
            urcu_shm::attach(&segment).expect("the first one");
            let _writer = segment.writer().expect("the first one");
            let thread = urcu_shm::register().expect("room");
            let guard = thread.read_lock();
            for _ in 0..3 {
                segment.start_grace_period();
            }
            let path = format!("/proc/{}/fd/{}", std::process::id(), segment.fd().as_raw_fd());
            let (succeeded, text) = top(&[&path]);
            assert!(succeeded, "{text}");
            let pid = std::process::id();
            let expected = [
                format!("writer    {pid} (number 1)"),
                "grace     3 started".into(),
                "readers   1 threads, 1 inside; 1 processes".into(),
                format!("{}+3", urcu_core::sys::thread_id()),
            ];
            for part in expected {
                assert!(text.contains(&part), "`{part}` is missing in\n{text}");
            }
            drop(guard);
            let (_, text) = top(&[&path]);
            assert!(text.contains("readers   1 threads, 0 inside"), "{text}");
        })
        .succeeded();
}

#[test]
fn what_is_no_segment_is_an_error() {
    let (succeeded, text) = top(&["/dev/null"]);
    assert!(!succeeded && text.contains("not a regular file"), "{text}");
    assert!(!top(&[]).0);
    assert!(!top(&["/dev/null", "often"]).0);
}
