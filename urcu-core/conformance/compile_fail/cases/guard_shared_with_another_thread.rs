//! A section protects nothing on another thread.

use urcu_flavor as rcu;

fn main() {
    let guard = rcu::read_lock();
    std::thread::scope(|scope| {
        scope.spawn(|| guard.domain());
    });
}
