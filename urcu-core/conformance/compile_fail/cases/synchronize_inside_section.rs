//! A thread that waits for a grace period inside a section waits for itself.

use urcu_flavor as rcu;

fn main() {
    let mut thread = rcu::register().unwrap();
    let guard = thread.read_lock();
    thread.synchronize();
    drop(guard);
}
