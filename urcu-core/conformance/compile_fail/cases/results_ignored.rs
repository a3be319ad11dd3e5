//! Guards, registrations and retired values say nothing when they are dropped, so ignoring one is a mistake.

#![deny(unused_must_use)]

use urcu_flavor as rcu;

fn main() {
    let value = rcu::Rcu::new(1);
    let thread = rcu::register().unwrap();
    thread.read_lock();
    rcu::read_lock();
    thread.offline().online();
    value.take().unwrap();
    rcu::register();
}
