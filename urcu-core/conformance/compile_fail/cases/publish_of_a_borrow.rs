//! A retired value may be dropped later.

use urcu_flavor as rcu;

fn main() {
    let local = String::from("local");
    let value = rcu::Rcu::empty();
    value.publish(local.as_str());
}
