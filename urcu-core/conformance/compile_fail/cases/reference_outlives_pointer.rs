//! A reference does not outlive the pointer that owns its value.

use urcu_flavor as rcu;

fn main() {
    let value = rcu::Rcu::new(1);
    let guard = rcu::read_lock();
    let reference = value.load(&guard).unwrap();
    drop(value);
    println!("{reference}");
}
