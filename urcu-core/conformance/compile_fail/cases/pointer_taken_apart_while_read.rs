//! Exclusive access to a pointer means that nobody holds a reference.

use urcu_flavor as rcu;

fn main() {
    let mut value = rcu::Rcu::new(1);
    let guard = rcu::read_lock();
    let reference = value.load(&guard).unwrap();
    *value.get_mut().unwrap() = 2;
    println!("{reference}");
}
