//! A thread that is offline holds no references.

use urcu_flavor as rcu;

fn main() {
    let mut thread = rcu::register().unwrap();
    let guard = thread.read_lock();
    thread.while_offline(|| ());
    drop(guard);
}
