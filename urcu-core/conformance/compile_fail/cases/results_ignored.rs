//! Guards and registrations end without a word when they are dropped, so ignoring one is a mistake.

#![deny(unused_must_use)]

use urcu_flavor as rcu;

fn main() {
    let thread = rcu::register().unwrap();
    thread.read_lock();
    rcu::read_lock();
    thread.offline().online();
    rcu::register();
}
