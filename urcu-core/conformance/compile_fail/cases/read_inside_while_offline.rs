//! A thread that is offline has nothing to read with.

use urcu_flavor as rcu;

fn main() {
    let mut thread = rcu::register().unwrap();
    thread.while_offline(|| drop(thread.read_lock()));
}
