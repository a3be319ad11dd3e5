//! A quiescent state says that the thread holds no references.

use urcu_flavor as rcu;

fn main() {
    let mut thread = rcu::register().unwrap();
    let guard = thread.read_lock();
    thread.quiescent_state();
    drop(guard);
}
