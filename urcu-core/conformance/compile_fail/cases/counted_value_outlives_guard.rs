//! A counted value that was found in a section does not outlive it, unless it is upgraded.

use urcu_flavor as rcu;

fn main() {
    let cell = rcu::RcuArcCell::new(1);
    let thread = rcu::register().unwrap();
    let guard = thread.read_lock();
    let found = cell.load(&guard).unwrap();
    drop(guard);
    println!("{}", *found);
}
