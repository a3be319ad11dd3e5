//! A guard protects what belongs to its own flavor.

use urcu_flavor as rcu;

fn mix<Other: urcu_core::Flavor>(value: &rcu::Rcu<u32>, guard: &urcu_core::Guard<'_, Other>) {
    value.load(guard);
}

fn main() {}
