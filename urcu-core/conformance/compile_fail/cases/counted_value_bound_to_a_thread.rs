//! A counted value may be dropped on another thread, so it has to be `Send`.

use std::rc::Rc;

use urcu_flavor as rcu;

fn main() {
    let _ = rcu::RcuArc::new(Rc::new(1));
}
