//! A retired value may be dropped on another thread.

use std::rc::Rc;

use urcu_flavor as rcu;

fn main() {
    let value = rcu::Rcu::empty();
    value.publish(Rc::new(1));
}
