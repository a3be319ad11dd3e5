//! A thread that is offline has nothing to read with.

use urcu_flavor as rcu;

fn main() {
    let thread = rcu::register().unwrap();
    let offline = thread.offline();
    let guard = thread.read_lock();
    drop(guard);
    drop(offline.online());
}
