//! A counted value may be dropped much later, so it borrows nothing.

use urcu_flavor as rcu;

fn main() {
    let local = 1;
    let _ = rcu::RcuArc::new(&local);
}
