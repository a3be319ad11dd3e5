//! A thread that is offline holds no references.

use urcu_flavor as rcu;

fn main() {
    let thread = rcu::register().unwrap();
    let guard = thread.read_lock();
    let offline = thread.offline();
    drop(guard);
    drop(offline);
}
