//! A registration is of use on its thread only.

use urcu_flavor as rcu;

fn main() {
    let thread = rcu::register().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| drop(thread.read_lock()));
    });
}
