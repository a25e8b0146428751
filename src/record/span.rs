//! Which assignment is in force, and when another takes over (RULES.md, 9). Knows no
//! count and no time: it is asked at every reading.

use crate::reading::{Assignment, NewSpan, Origin};
use crate::units::Microlitres;

/// The assignment in force and the one that waits for the next reading.
#[derive(Debug, Clone)]
pub struct Spans {
    in_force: Option<(Assignment, Origin)>,
    waiting: Option<Option<(Assignment, Origin)>>,
}

impl Spans {
    /// Goes on with the span that is open.
    pub fn new(open: Option<(Assignment, Origin)>) -> Self {
        Self { in_force: open, waiting: None }
    }

    /// The assignment wanted from the next reading on. Whoever chose it, the one that is
    /// in force goes on: a span is one continuous assignment.
    pub fn want(&mut self, wanted: Option<(Assignment, Origin)>) {
        let same = assignment(&wanted) == assignment(&self.in_force);
        self.waiting = (!same).then_some(wanted);
    }

    /// Whether another assignment waits for a reading.
    pub fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    /// The change of assignment at a reading with this share. Volume was poured before
    /// the change, so a reading that brings some still belongs to the old span.
    pub fn turn(&mut self, share: Microlitres) -> Option<NewSpan> {
        let wanted = self.waiting.take()?;
        let before = std::mem::replace(&mut self.in_force, wanted.clone());
        let owns_reading = share == Microlitres::ZERO;
        Some(match wanted {
            Some((assignment, origin)) => {
                NewSpan { assignment: Some(assignment), origin, owns_reading }
            }
            // Nobody chose nothing: whoever had chosen took it back.
            None => NewSpan {
                assignment: None,
                origin: before.map_or(Origin::Pick, |(_, origin)| origin),
                owns_reading,
            },
        })
    }
}

fn assignment(of: &Option<(Assignment, Origin)>) -> Option<&Assignment> {
    of.as_ref().map(|(assignment, _)| assignment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str) -> Option<(Assignment, Origin)> {
        let assignment = Assignment {
            event: "e1".into(),
            job: id.into(),
            item: None,
            product: None,
            note: String::new(),
        };
        Some((assignment, Origin::Pick))
    }

    #[test]
    fn the_assignment_in_force_wanted_again_changes_nothing() {
        let mut spans = Spans::new(job("a"));
        spans.want(job("a"));
        assert_eq!(spans.turn(Microlitres::ZERO), None);
        spans.want(job("a").map(|(a, _)| (a, Origin::Fixed)));
        assert!(!spans.waits());
    }

    #[test]
    fn a_change_taken_back_before_a_reading_never_was() {
        let mut spans = Spans::new(job("a"));
        spans.want(job("b"));
        spans.want(job("a"));
        assert!(!spans.waits());
    }

    #[test]
    fn a_reading_with_volume_stays_with_the_old_span() {
        let mut spans = Spans::new(job("a"));
        spans.want(job("b"));
        let span = spans.turn(Microlitres(1)).unwrap();
        assert!(!span.owns_reading);
        assert_eq!(span.assignment.unwrap().job, "b");
        assert_eq!(spans.turn(Microlitres(1)), None, "once");
    }

    #[test]
    fn clearing_closes_the_span_in_the_name_of_who_chose_it() {
        let mut spans = Spans::new(job("a").map(|(a, _)| (a, Origin::Fixed)));
        spans.want(None);
        let span = spans.turn(Microlitres::ZERO).unwrap();
        assert_eq!((span.assignment, span.origin), (None, Origin::Fixed));
        assert!(span.owns_reading);
    }
}
