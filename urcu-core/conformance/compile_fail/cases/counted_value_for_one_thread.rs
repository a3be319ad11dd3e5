//! References share their value: it has to be `Sync` for them to be sent.

use std::cell::Cell;

use urcu_flavor as rcu;

fn main() {
    let first = rcu::RcuArc::new(Cell::new(1));
    let second = first.clone();
    std::thread::spawn(move || second.set(2));
    first.set(3);
}
