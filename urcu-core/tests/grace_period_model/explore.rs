//! All states of a machine.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::machine::{Machine, Step};

/// What was found.
pub(super) struct Found {
    pub(super) states: usize,
    /// The schedule that leads to the use of a freed object, if there is one.
    pub(super) violation: Option<Vec<String>>,
    /// The schedule that leads to where nobody can move and not all have ended.
    pub(super) stuck: Option<Vec<String>>,
}

/// Breadth first, so that schedules are short.
pub(super) fn whole(first: Machine, most: usize) -> Found {
    let mut came_by: HashMap<Machine, Option<(Machine, Step)>> = HashMap::from([(first, None)]);
    let mut front = vec![first];
    while !front.is_empty() && came_by.len() < most {
        let mut next_front = Vec::new();
        for machine in front {
            let steps = machine.steps();
            if steps.is_empty() && !machine.has_ended() {
                return Found { states: came_by.len(), violation: None, stuck: Some(schedule(&came_by, machine)) };
            }
            for (step, next) in steps {
                if let Entry::Vacant(vacant) = came_by.entry(next) {
                    vacant.insert(Some((machine, step)));
                    if next.violated {
                        let violation = Some(schedule(&came_by, next));
                        return Found { states: came_by.len(), violation, stuck: None };
                    }
                    next_front.push(next);
                }
            }
        }
        front = next_front;
    }
    Found { states: came_by.len(), violation: None, stuck: None }
}

fn schedule(came_by: &HashMap<Machine, Option<(Machine, Step)>>, mut to: Machine) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some((from, step)) = came_by[&to] {
        lines.push(step.to_string());
        to = from;
    }
    lines.reverse();
    lines
}
