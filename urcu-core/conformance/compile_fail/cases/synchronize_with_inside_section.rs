//! Taking a retired value back waits for a grace period, too.

use urcu_flavor as rcu;

fn main() {
    let value = rcu::Rcu::new(1);
    let mut thread = rcu::register().unwrap();
    let guard = thread.read_lock();
    let old = value.take().unwrap();
    old.synchronize_with(&mut thread);
    drop(guard);
}
