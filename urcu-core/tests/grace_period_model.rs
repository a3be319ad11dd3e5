//! The model of the single-pass grace period (`models/README.md`), without spin: the counter-examples that spin has found
//! are replayed, and small programs are explored whole.
//!
//! A schedule that frees an object under a reader when a rule is broken is harmless when the rules are kept.

#[path = "grace_period_model/explore.rs"]
mod explore;
#[path = "grace_period_model/machine.rs"]
mod machine;
#[path = "grace_period_model/variants.rs"]
mod variants;

use machine::{Machine, Rules};
use variants::{Variant, all, trace};

/// Takes the steps of a schedule; those of the same name only.
fn replay(variant: &Variant, schedule: &[String]) -> Machine {
    let mut machine = Machine::new(variant.rules, variant.shape);
    for (number, line) in schedule.iter().enumerate() {
        let steps = machine.steps();
        let Some((_, next)) = steps.iter().find(|(step, _)| step.to_string() == *line) else {
            let possible: Vec<String> = steps.iter().map(|(step, _)| step.to_string()).collect();
            panic!("{}: step {number} `{line}` is not possible, only {possible:?}", variant.name);
        };
        machine = *next;
    }
    machine
}

/// Gives each actor its turns in the order of a schedule, then lets everybody come to the end.
fn in_the_same_order(rules: Rules, variant: &Variant, schedule: &[String]) -> Machine {
    let mut machine = Machine::new(rules, variant.shape);
    for line in schedule {
        let actor = actor(line);
        let steps = machine.steps();
        let same = steps.iter().find(|(step, _)| step.to_string() == *line);
        let similar = || steps.iter().find(|(step, _)| self::actor(&step.to_string()) == actor);
        // Whoever has to wait waits.
        if let Some((_, next)) = same.or_else(similar) {
            machine = *next;
        }
    }
    while let Some((_, next)) = machine.steps().into_iter().next_back() {
        machine = next;
    }
    machine
}

/// `reader 0` of `reader 0 R1`.
fn actor(line: &str) -> String {
    line.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[test]
fn counter_examples_of_broken_rules_are_replayed() {
    let mut replayed = 0;
    for variant in all().iter().filter(|variant| !variant.holds) {
        let schedule = trace(variant);
        let machine = replay(variant, &schedule);
        assert!(machine.violated, "{}: the schedule is harmless", variant.name);
        replayed += 1;
    }
    assert!(replayed >= 6, "{replayed}");
}

#[test]
fn the_same_schedules_are_harmless_when_the_rules_are_kept() {
    for variant in all().iter().filter(|variant| !variant.holds) {
        let kept = variant.rules.kept();
        let machine = in_the_same_order(kept, variant, &trace(variant));
        assert!(!machine.violated, "{}", variant.name);
        assert!(machine.has_ended(), "{}: somebody waits for ever: {machine:?}", variant.name);
    }
}

#[test]
fn every_broken_rule_has_a_counter_example() {
    for variant in all().iter().filter(|variant| !variant.holds && variant.small) {
        let found = explore::whole(Machine::new(variant.rules, variant.shape), usize::MAX);
        assert!(found.violation.is_some(), "{}: {} states without one", variant.name, found.states);
    }
}

#[test]
fn small_programs_hold() {
    for variant in all().iter().filter(|variant| variant.holds && variant.small) {
        let found = explore::whole(Machine::new(variant.rules, variant.shape), usize::MAX);
        println!("{}: {} states", variant.name, found.states);
        assert!(found.violation.is_none(), "{}: {:#?}", variant.name, found.violation);
        assert!(found.stuck.is_none(), "{}: {:#?}", variant.name, found.stuck);
    }
}
