//! The program of the README: one reader, one updater, and the old versions freed when nobody can see them any more.
//!
//! Run it with `cargo run -p urcu-examples --bin first`.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::{thread, time::Duration};

struct Config {
    version: u32,
}

impl Drop for Config {
    fn drop(&mut self) {
        println!("freed: version {}", self.version);
    }
}

static CONFIG: rcu::Rcu<Config> = rcu::Rcu::empty();
static STOP: AtomicBool = AtomicBool::new(false);

fn read() -> u64 {
    let mut me = rcu::register().unwrap();
    let mut reads = 0;
    loop {
        let section = me.read_lock();
        reads += u64::from(CONFIG.load(&section).unwrap().version > 0);
        drop(section);
        me.quiescent_state(); // needed by QSBR, nothing in the other flavors
        if STOP.load(Relaxed) {
            return reads;
        }
    }
}

fn main() {
    CONFIG.publish(Config { version: 1 });
    let reader = thread::spawn(read);
    for version in 2..=5 {
        thread::sleep(Duration::from_millis(100));
        CONFIG.publish(Config { version }); // the one before is freed when its readers have left
    }
    STOP.store(true, Relaxed);
    println!("{} reads meanwhile", reader.join().unwrap());
    rcu::barrier().unwrap(); // whatever has been replaced is freed by now
}
