//! Readers on several threads see the same value.

use std::cell::Cell;

use urcu_flavor as rcu;

fn main() {
    let value = rcu::Rcu::new(Cell::new(1));
    std::thread::scope(|scope| {
        scope.spawn(|| value.load(&rcu::read_lock()).map(Cell::get));
    });
}
