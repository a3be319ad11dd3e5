//! A section belongs to its thread.

use urcu_flavor as rcu;

fn main() {
    let guard = rcu::read_lock();
    std::thread::spawn(move || drop(guard));
}
