//! A reference does not outlive its section.

use urcu_flavor as rcu;

fn main() {
    let value = rcu::Rcu::new(1);
    let thread = rcu::register().unwrap();
    let guard = thread.read_lock();
    let reference = value.load(&guard).unwrap();
    drop(guard);
    println!("{reference}");
}
