//! A registration does not end inside a section.

use urcu_flavor as rcu;

fn main() {
    let thread = rcu::register().unwrap();
    let guard = thread.read_lock();
    drop(thread);
    drop(guard);
}
