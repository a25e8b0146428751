//! Delivery as timelines: a server that does this, then that; what the machine does.

use std::collections::BTreeSet;

use super::*;
use crate::clock::UtcMs;
use crate::drain::reconcile::{Checked, Findings, Flaw};
use crate::jobcloser::verdict::{Refusal, RetryAfter, Unbelievable, Unclear, Verdict};

const A: &str = "job-a";

fn key(job: &str) -> JobKey {
    JobKey { event: "e".to_owned(), job: job.to_owned() }
}

fn seqs(range: std::ops::RangeInclusive<i64>) -> Vec<Seq> {
    range.map(Seq).collect()
}

fn open(range: std::ops::RangeInclusive<i64>) -> Vec<(Seq, Outcome)> {
    range.map(|n| (Seq(n), Outcome::Open)).collect()
}

fn silence() -> Verdict {
    Verdict::Unclear(Unclear { from_gateway_or_silence: true, refusal: None })
}

fn said_no(message: &str) -> Verdict {
    Verdict::Unclear(Unclear { from_gateway_or_silence: false, refusal: Some(message.to_owned()) })
}

fn server_error() -> Verdict {
    Verdict::Unclear(Unclear { from_gateway_or_silence: false, refusal: None })
}

fn taken() -> Verdict {
    Verdict::Accepted { ids: Vec::new() }
}

/// A machine, its clock, and what the server holds.
struct Line {
    machine: Machine,
    now: Instant,
    attempt: i64,
}

impl Line {
    fn new() -> Self {
        let config = Config::default();
        let now = Instant::now();
        let mut line = Self { machine: Machine::new(&config, Vec::new(), now), now, attempt: 0 };
        line.pass(3);
        assert_eq!(line.step(), Step::SignIn);
        line.machine.signed_in(SignInOutcome::In, line.now);
        line
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn step(&mut self) -> Step {
        self.machine.next(self.now)
    }

    /// Skips waits and sign-ins until there is something to send or to ask.
    fn work(&mut self) -> Step {
        for _ in 0..50 {
            match self.step() {
                Step::Wait(Some(until)) => self.now = until,
                Step::SignIn => self.machine.signed_in(SignInOutcome::In, self.now),
                step => return step,
            }
        }
        panic!("nothing but waits");
    }

    fn sent(&mut self, seqs: &[Seq], verdict: &Verdict) -> Effects {
        self.attempt += 1;
        self.machine.sent(self.attempt, &key(A), seqs, verdict, self.now)
    }

    /// The list was asked for a while ago, and is there only now.
    fn found_slowly(&mut self, asked: Instant, absent: &[Seq]) -> Effects {
        let findings = Findings { absent: absent.to_vec(), ..Findings::default() };
        self.machine.settled(&key(A), &findings, asked, self.now)
    }

    fn found(&mut self, present: &[Seq], absent: &[Seq], whole: bool) -> Effects {
        self.found_with((!whole).then_some(Flaw::Altered), present, absent)
    }

    fn found_with(&mut self, flaw: Option<Flaw>, present: &[Seq], absent: &[Seq]) -> Effects {
        let present = present.iter().map(|s| (*s, None)).collect();
        let findings = Findings { present, absent: absent.to_vec(), flaw, empty: false, rows: 1 };
        self.machine.settled(&key(A), &findings, self.now, self.now)
    }

    /// The server shows an empty list, and nothing was acknowledged before.
    fn found_empty(&mut self, absent: &[Seq]) -> Effects {
        let findings = Findings { absent: absent.to_vec(), empty: true, ..Findings::default() };
        self.machine.settled(&key(A), &findings, self.now, self.now)
    }
}

fn oldest(step: &Step) -> usize {
    match step {
        Step::Send(Pick::Oldest { .. }, many) => *many,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_yard_full_of_rigs_does_not_sign_in_at_once_when_the_network_comes_up() {
    let now = Instant::now();
    let mut waits = Vec::new();
    for _ in 0..200 {
        let mut machine = Machine::new(&Config::default(), Vec::new(), now);
        machine.hint();
        match machine.next(now) {
            Step::Wait(Some(until)) => waits.push(until - now),
            Step::SignIn => waits.push(Duration::ZERO),
            other => panic!("{other:?}"),
        }
    }
    assert!(waits.iter().all(|w| *w <= Duration::from_secs(3)));
    let late = waits.iter().filter(|w| **w > Duration::from_millis(1500)).count();
    assert!((50..150).contains(&late), "{late} of 200 in the second half");
}

#[test]
fn accepted_readings_are_sent_and_the_next_batch_follows_at_once() {
    let mut line = Line::new();
    assert_eq!(oldest(&line.step()), 100);
    let ids = vec![Some("x".to_owned()), None];
    let effects = line.sent(&seqs(1..=2), &Verdict::Accepted { ids });
    let expected =
        vec![(Seq(1), Outcome::Sent(Some("x".to_owned()))), (Seq(2), Outcome::Sent(None))];
    assert_eq!(effects.results, expected);
    assert_eq!(oldest(&line.step()), 100);
}

#[test]
fn ids_that_are_too_few_are_tied_to_no_reading() {
    let mut line = Line::new();
    let effects = line.sent(&seqs(1..=2), &Verdict::Accepted { ids: vec![Some("x".to_owned())] });
    assert!(effects.results.iter().all(|(_, o)| *o == Outcome::Sent(None)));
}

#[test]
fn a_server_that_was_never_reached_is_tried_within_fifteen_seconds_for_ever() {
    let mut line = Line::new();
    for _ in 0..100 {
        assert!(matches!(line.work(), Step::Send(..)));
        assert_eq!(line.sent(&seqs(1..=3), &Verdict::NotSent).results, open(1..=3));
        let Step::Wait(Some(until)) = line.step() else { panic!("no wait") };
        assert!(until - line.now <= Duration::from_secs(15));
    }
}

#[test]
fn weeks_out_of_coverage_freeze_one_batch_and_no_more() {
    let mut line = Line::new();
    line.work();
    line.sent(&seqs(1..=100), &Verdict::NotSent);
    for _ in 0..1000 {
        let Step::Wait(Some(until)) = line.step() else { panic!("no wait") };
        assert!(until - line.now <= Duration::from_secs(15));
        line.now = until;
        assert_eq!(line.step(), Step::SignIn);
        line.machine.signed_in(SignInOutcome::NotReached, line.now);
    }
    assert_eq!(line.machine.trouble(), Some(&Trouble::NotReached));
    assert_eq!(oldest(&line.work()), 100);
}

#[test]
fn a_server_that_cannot_be_trusted_is_named_as_such_until_it_can_be() {
    let mut line = Line::new();
    line.work();
    line.sent(&seqs(1..=3), &Verdict::NotSent);
    let Step::Wait(Some(until)) = line.step() else { panic!("no wait") };
    line.now = until;
    assert_eq!(line.step(), Step::SignIn);
    line.machine.signed_in(SignInOutcome::Untrusted("certificate expired".into()), line.now);
    let said = line.machine.view("waiting", None, line.now).trouble.unwrap();
    assert!(said.contains("no trusted connection") && said.contains("(certificate expired)"));
    let Step::Wait(Some(until)) = line.step() else { panic!("no wait") };
    assert!(until - line.now <= Duration::from_secs(15), "as one that is out of reach");
    line.now = until;
    line.work();
    assert_eq!(line.machine.trouble(), None);
}

#[test]
fn a_link_that_comes_up_ends_the_wait_for_a_server_that_was_not_reached_but_no_other() {
    let mut line = Line::new();
    for _ in 0..9 {
        line.work();
        line.sent(&seqs(1..=3), &Verdict::NotSent);
    }
    line.machine.hint();
    assert_eq!(line.step(), Step::SignIn);
    line.work();
    line.sent(
        &seqs(1..=3),
        &Verdict::Refused(Refusal::Wait { after: Some(Duration::from_secs(60)) }),
    );
    line.machine.hint();
    let Step::Wait(Some(until)) = line.step() else { panic!("no wait") };
    assert!(until - line.now >= Duration::from_secs(60));
}

#[test]
fn a_lost_answer_is_asked_about_no_sooner_than_settle_after_and_other_batches_go_on() {
    let mut line = Line::new();
    let lost = line.now;
    assert_eq!(line.sent(&seqs(1..=3), &silence()), Effects::default());
    // Others go on, in smaller steps.
    assert_eq!(oldest(&line.work()), 12);
    line.sent(&seqs(4..=5), &taken());
    assert_eq!(
        line.machine.nothing_ready(&Pick::Oldest { skip: vec![], but: vec![] }, line.now),
        Step::Wait(Some(lost + Duration::from_secs(60)))
    );
    line.now = lost + Duration::from_secs(60);
    assert_eq!(line.step(), Step::SignIn, "an old session may have expired");
    assert_eq!(line.work(), Step::Settle(key(A)));
    let effects = line.found(&seqs(1..=2), &seqs(3..=3), true);
    assert_eq!(
        effects.results,
        [(Seq(1), Outcome::Sent(None)), (Seq(2), Outcome::Sent(None)), (Seq(3), Outcome::Open)]
    );
    assert_eq!(effects.attempts, [(1, "settled by asking")]);
    assert!(matches!(line.step(), Step::Send(Pick::Oldest { .. }, _)));
}

#[test]
fn absence_is_not_believed_from_a_list_that_lacks_acknowledged_records() {
    let mut line = Line::new();
    line.sent(&seqs(1..=3), &silence());
    line.pass(61);
    assert_eq!(line.work(), Step::Settle(key(A)));
    assert_eq!(line.found(&[], &seqs(1..=3), false), Effects::default());
    assert_eq!(line.machine.doubted(&key(A)), seqs(1..=3));
    assert!(matches!(line.machine.trouble(), Some(Trouble::NotSettled(_))));
    // Asked again later, it is.
    line.pass(301);
    assert_eq!(line.work(), Step::Settle(key(A)));
    assert_eq!(line.found(&[], &seqs(1..=3), true).results, open(1..=3));
}

#[test]
fn why_a_job_cannot_be_settled_is_said_however_well_another_goes() {
    let mut line = Line::new();
    line.sent(&seqs(1..=3), &silence());
    line.pass(61);
    assert_eq!(line.work(), Step::Settle(key(A)));
    line.found(&[], &seqs(1..=3), false);
    for n in 0..10 {
        line.attempt += 1;
        line.machine.sent(line.attempt, &key("job-b"), &[Seq(10 + n)], &taken(), line.now);
        let view = line.machine.view("idle", None, line.now);
        let why = Flaw::Altered.to_string();
        assert_eq!(view.trouble, Some(format!("cannot tell yet what JobCloser stored: {why}")));
        let [doubt] = &view.doubts[..] else { panic!("{view:?}") };
        assert_eq!((&doubt.key, doubt.readings, &doubt.why), (&key(A), 3, &Some(why)));
        assert!(doubt.next_question_s <= 300);
    }
    line.pass(301);
    assert_eq!(line.work(), Step::Settle(key(A)));
    line.found(&seqs(1..=3), &[], true);
    let view = line.machine.view("idle", None, line.now);
    assert_eq!((view.trouble, view.doubts), (None, Vec::new()));
}

#[test]
fn presence_is_believed_even_then() {
    let mut line = Line::new();
    line.sent(&seqs(1..=2), &silence());
    line.pass(61);
    line.work();
    assert_eq!(
        line.found(&seqs(1..=1), &seqs(2..=2), false).results,
        [(Seq(1), Outcome::Sent(None))]
    );
    assert_eq!(line.machine.doubted(&key(A)), seqs(2..=2));
}

#[test]
fn what_was_in_doubt_when_the_power_went_is_asked_about_after_a_start() {
    let now = Instant::now();
    let left = vec![OpenAttempt { id: 7, key: key(A), seqs: seqs(1..=4), carried: false }];
    let mut line = Line { machine: Machine::new(&Config::default(), left, now), now, attempt: 7 };
    line.pass(2);
    assert!(matches!(line.work(), Step::Send(..)), "later readings go on meanwhile");
    line.pass(60);
    assert_eq!(line.work(), Step::Settle(key(A)));
    assert_eq!(line.found(&seqs(1..=4), &[], true).attempts, [(7, "found at the server")]);
    assert!(line.machine.doubted(&key(A)).is_empty());
}

#[test]
fn what_a_damaged_queue_may_have_sent_is_asked_about_before_it_is_sent() {
    let mut line = Line::new();
    let begun = line.now - Duration::from_secs(3);
    assert_eq!(oldest(&line.step()), 100);
    line.machine.asks(1, key(A), seqs(1..=2000), line.now);
    let view = line.machine.view("idle", None, line.now);
    assert_eq!((view.doubts[0].readings, view.doubts[0].carried), (2000, 2000));
    assert!(matches!(line.step(), Step::Send(..)), "others go on meanwhile");
    // A request that was under way when the queue was found damaged may be stored yet.
    line.now = begun + Duration::from_secs(59);
    assert!(!matches!(line.work(), Step::Settle(_)));
    line.now = begun + Duration::from_secs(60);
    assert_eq!(line.work(), Step::Settle(key(A)));
    let effects = line.found(&seqs(1..=1999), &seqs(2000..=2000), true);
    assert_eq!(effects.results.len(), 2000);
    assert_eq!(effects.results[1999], (Seq(2000), Outcome::Open));
    // From then on the next are asked about at once, and risk nothing.
    line.machine.asks(2, key(A), seqs(2001..=4000), line.now);
    assert_eq!(line.step(), Step::Settle(key(A)));
    line.found(&[], &seqs(2001..=4000), true);
    assert_eq!(oldest(&line.step()), 100);
}

#[test]
fn a_refusal_is_asked_about_at_once_and_the_bad_reading_is_found() {
    let mut line = Line::new();
    line.sent(&seqs(1..=8), &said_no("bad row"));
    assert_eq!(line.step(), Step::Settle(key(A)));
    // Rows before the bad one were stored.
    let effects = line.found(&seqs(1..=3), &seqs(4..=8), true);
    assert_eq!(effects.results.len(), 8);
    let mut rejected = Vec::new();
    let mut sent = 0;
    for _ in 0..20 {
        let piece = match line.work() {
            Step::Send(Pick::These(piece), _) => piece,
            Step::Send(Pick::Oldest { .. }, _) => break,
            other => panic!("{other:?}"),
        };
        let bad = piece.contains(&Seq(4));
        let effects = line.sent(&piece, &if bad { said_no("bad row") } else { taken() });
        sent += effects.results.iter().filter(|(_, o)| matches!(o, Outcome::Sent(_))).count();
        rejected.extend(
            effects
                .results
                .iter()
                .filter(|(_, o)| matches!(o, Outcome::Rejected(_)))
                .map(|(s, _)| *s),
        );
        if bad {
            assert_eq!(line.work(), Step::Settle(key(A)));
            let effects = line.found(&[], &piece, true);
            rejected.extend(
                effects
                    .results
                    .iter()
                    .filter(|(_, o)| matches!(o, Outcome::Rejected(_)))
                    .map(|(s, _)| *s),
            );
        }
    }
    assert_eq!((rejected, sent), (vec![Seq(4)], 4));
}

#[test]
fn a_reading_is_not_rejected_while_it_was_not_alone() {
    let mut line = Line::new();
    line.sent(&seqs(1..=2), &said_no("bad row"));
    line.work();
    let effects = line.found(&seqs(1..=1), &seqs(2..=2), true);
    assert_eq!(effects.results, [(Seq(1), Outcome::Sent(None)), (Seq(2), Outcome::Open)]);
    assert_eq!(line.work(), Step::Send(Pick::These(seqs(2..=2)), 1));
    line.sent(&seqs(2..=2), &said_no("bad row"));
    line.work();
    assert_eq!(
        line.found(&[], &seqs(2..=2), true).results,
        [(Seq(2), Outcome::Open), (Seq(2), Outcome::Rejected("bad row".to_owned()))]
    );
}

#[test]
fn a_job_that_is_refused_is_held_and_none_of_its_readings_rejected() {
    let mut line = Line::new();
    line.sent(&seqs(1..=50), &said_no("job closed"));
    line.work();
    line.found(&[], &seqs(1..=50), true);
    for expected in [1, 50] {
        assert_eq!(line.work(), Step::Send(Pick::These(vec![Seq(expected)]), 1));
        line.sent(&[Seq(expected)], &said_no("job closed"));
        line.work();
        let effects = line.found(&[], &[Seq(expected)], true);
        assert!(effects.results.iter().all(|(_, o)| *o == Outcome::Open));
        assert_eq!(effects.refuse.is_some(), expected == 50);
    }
    assert!(matches!(line.machine.trouble(), Some(Trouble::JobRefused(_))));
}

#[test]
fn a_job_that_is_refused_from_the_first_is_held_though_every_list_is_empty() {
    let mut line = Line::new();
    let mut lone = Vec::new();
    line.sent(&seqs(1..=50), &said_no("job closed"));
    let refused = loop {
        match line.work() {
            Step::Settle(_) => {
                let doubted = line.machine.doubted(&key(A));
                let effects = line.found_empty(&doubted);
                assert!(effects.results.iter().all(|(_, o)| *o == Outcome::Open), "{effects:?}");
                if effects.refuse.is_some() {
                    break effects.refuse;
                }
            }
            Step::Send(Pick::These(piece), 1) => {
                line.sent(&piece, &said_no("job closed"));
                lone.extend(piece);
            }
            other => panic!("{other:?} before the job is decided about"),
        }
    };
    assert_eq!(refused, Some((Some(key(A)), "job closed".to_owned())));
    assert_eq!(lone, [Seq(1), Seq(50)]);
    assert!(line.machine.doubted(&key(A)).is_empty());
}

#[test]
fn a_piece_after_one_that_is_not_ready_is_still_sent() {
    let mut line = Line::new();
    line.sent(&seqs(1..=3), &said_no("bad row"));
    line.work();
    line.found(&[], &seqs(1..=3), true);
    let first = Pick::These(vec![Seq(1)]);
    assert_eq!(line.work(), Step::Send(first.clone(), 1));
    // An operator has discarded it meanwhile.
    assert_eq!(line.machine.nothing_ready(&first, line.now), Step::Wait(Some(line.now)));
    assert_eq!(line.step(), Step::Send(Pick::These(vec![Seq(3)]), 1), "the last one was lost");
}

#[test]
fn what_is_sent_while_the_last_readings_answer_is_awaited_leaves_the_first_ones_refusal_known() {
    let mut line = Line::new();
    line.sent(&seqs(1..=50), &said_no("job closed"));
    line.work();
    line.found(&[], &seqs(1..=50), true);
    for lone in [1, 50] {
        assert_eq!(line.work(), Step::Send(Pick::These(vec![Seq(lone)]), 1));
        line.sent(&[Seq(lone)], &said_no("job closed"));
        assert_eq!(line.work(), Step::Settle(key(A)));
        // About the last one the list can't tell at first.
        line.found(&[], &[Seq(lone)], lone == 1);
    }
    // Its wait may be over before the question's.
    line.machine.wait = None;
    assert_eq!(oldest(&line.step()), 100);
    line.pass(301);
    assert_eq!(line.work(), Step::Settle(key(A)));
    let refuse = line.found(&[], &[Seq(50)], true).refuse;
    assert_eq!(refuse, Some((Some(key(A)), "job closed".to_owned())));
}

/// The first reading of a refused batch is refused alone; about the last one the list can't
/// tell at first. Meanwhile the first goes again, with the oldest that are ready.
fn the_first_goes_again_while_the_last_is_in_doubt(answer: &Verdict) -> Line {
    let mut line = Line::new();
    line.sent(&seqs(1..=50), &said_no("bad rows"));
    line.work();
    line.found(&[], &seqs(1..=50), true);
    for lone in [1, 50] {
        assert_eq!(line.work(), Step::Send(Pick::These(vec![Seq(lone)]), 1));
        line.sent(&[Seq(lone)], &said_no(&format!("bad row {lone}")));
        assert_eq!(line.work(), Step::Settle(key(A)));
        line.found(&[], &[Seq(lone)], lone == 1);
    }
    line.pass(301);
    line.sent(&[Seq(1), Seq(60)], answer);
    line
}

#[test]
fn a_reading_whose_second_answer_is_lost_is_not_rejected_for_its_first() {
    let mut line = the_first_goes_again_while_the_last_is_in_doubt(&silence());
    let effects = line.found(&[], &[Seq(1), Seq(50), Seq(60)], true);
    let no = Outcome::Rejected("bad row 50".to_owned());
    assert_eq!(effects.results, [(Seq(50), Outcome::Open), (Seq(50), no)]);
    assert_eq!(line.machine.doubted(&key(A)), [Seq(1), Seq(60)]);
}

#[test]
fn a_reading_in_doubt_is_not_rejected_whatever_put_it_there() {
    let mut line = the_first_goes_again_while_the_last_is_in_doubt(&server_error());
    let asked = line.now - Duration::from_secs(1);
    let effects = line.found_slowly(asked, &[Seq(1), Seq(50), Seq(60)]);
    let no = Outcome::Rejected("bad row 50".to_owned());
    assert_eq!(effects.results, [(Seq(50), Outcome::Open), (Seq(50), no)]);
    assert_eq!(line.machine.doubted(&key(A)), [Seq(1), Seq(60)]);
}

#[test]
fn what_was_taken_after_all_is_not_rejected_for_an_earlier_refusal() {
    let mut line = the_first_goes_again_while_the_last_is_in_doubt(&taken());
    let effects = line.found(&[], &[Seq(50)], true);
    assert!(effects.results.iter().all(|(seq, _)| *seq == Seq(50)), "{effects:?}");
}

#[test]
fn a_job_that_the_server_refuses_and_cannot_tell_about_is_passed_over_while_others_go_on() {
    let mut line = Line::new();
    line.sent(&seqs(1..=3), &said_no("EventId is not an id"));
    assert_eq!(line.step(), Step::Settle(key(A)));
    let why = Unbelievable::Status { status: 400, retry_after: None };
    let (asked, wall) = (line.now, UtcMs(0));
    line.machine.not_settled(&key(A), &why, Some(wall), line.now);
    // At once, and no smaller than before.
    let passes = |step: Step| match step {
        Step::Send(Pick::Oldest { but, .. }, 100) => but,
        other => panic!("{other:?}"),
    };
    assert_eq!(passes(line.step()), [key(A)]);
    line.pass(149);
    assert_eq!(passes(line.step()), [key(A)]);
    assert_eq!(line.machine.doubted(&key(A)), seqs(1..=3));
    // Later readings of that job aren't blocked for ever, and the question comes again.
    line.pass(2);
    assert!(passes(line.step()).is_empty());
    line.now = asked + Duration::from_secs(301);
    assert_eq!(line.work(), Step::Settle(key(A)));
}

#[test]
fn five_lone_refusals_in_a_row_hold_everything_and_reject_nothing() {
    let mut line = Line::new();
    let mut last = Effects::default();
    for n in 1..=5 {
        assert!(matches!(line.work(), Step::Send(Pick::Oldest { .. }, _)));
        line.sent(&[Seq(n)], &said_no(&format!("no {n}")));
        line.work();
        last = line.found(&[], &[Seq(n)], true);
    }
    assert_eq!(last.refuse, Some((None, "no 5".to_owned())));
    let opened: Vec<_> = last.results.iter().rev().take(5).cloned().collect();
    assert!(opened.iter().all(|(_, o)| *o == Outcome::Open), "{opened:?}");
}

#[test]
fn an_acknowledgement_between_them_makes_lone_refusals_the_readings_fault() {
    let mut line = Line::new();
    for n in 1..=8 {
        line.work();
        line.sent(&[Seq(n)], &said_no("no"));
        line.work();
        assert_eq!(line.found(&[], &[Seq(n)], true).refuse, None);
        line.work();
        line.sent(&[Seq(100 + n)], &taken());
    }
}

#[test]
fn a_reading_that_breaks_the_server_steps_aside_for_the_others() {
    let mut line = Line::new();
    line.sent(&[Seq(1)], &server_error());
    assert_eq!(line.work(), Step::Settle(key(A)));
    line.found(&[], &[Seq(1)], true);
    let Step::Send(Pick::Oldest { skip, .. }, _) = line.work() else { panic!("not sending") };
    assert_eq!(skip, [Seq(1)]);
    line.pass(301);
    assert!(matches!(line.work(), Step::Send(Pick::Oldest { skip, .. }, _) if skip.is_empty()));
}

#[test]
fn a_server_in_trouble_is_risked_one_reading_at_a_time_and_rarely() {
    let mut line = Line::new();
    let mut risked = Vec::new();
    for n in 0..8 {
        let many = match line.work() {
            Step::Send(_, many) => many,
            Step::Settle(_) => {
                let doubted = line.machine.doubted(&key(A));
                line.machine.not_settled(
                    &key(A),
                    &Unbelievable::Status { status: 503, retry_after: None },
                    None,
                    line.now,
                );
                assert!(!doubted.is_empty());
                continue;
            }
            other => panic!("{other:?}"),
        };
        risked.push(many);
        line.sent(&[Seq(n)], &silence());
    }
    assert_eq!(risked[..3], [100, 12, 1]);
    assert!(risked.iter().skip(2).all(|n| *n == 1));
    // Once it answers, the steps grow again.
    line.work();
    line.sent(&[Seq(99)], &taken());
    assert_eq!(line.machine.limit, 8);
}

#[test]
fn a_batch_that_is_too_large_is_halved_until_it_fits() {
    let mut line = Line::new();
    assert_eq!(
        line.sent(&seqs(1..=100), &Verdict::Refused(Refusal::Smaller)).results,
        open(1..=100)
    );
    assert_eq!(oldest(&line.step()), 50);
    line.sent(&seqs(1..=50), &Verdict::Refused(Refusal::Smaller));
    assert_eq!(oldest(&line.step()), 25);
}

#[test]
fn an_expired_session_is_renewed_once_and_then_held() {
    let mut line = Line::new();
    line.sent(&seqs(1..=2), &taken());
    assert_eq!(line.sent(&seqs(3..=4), &Verdict::Refused(Refusal::SignIn)).results, open(3..=4));
    assert_eq!(line.step(), Step::SignIn);
    line.machine.signed_in(SignInOutcome::In, line.now);
    assert!(matches!(line.step(), Step::Send(..)));
    line.sent(&seqs(3..=4), &Verdict::Refused(Refusal::SignIn));
    assert_eq!(line.machine.trouble(), Some(&Trouble::NotAllowed));
    assert_eq!(line.step(), Step::Wait(Some(line.now + Duration::from_secs(300))));
}

#[test]
fn a_refused_password_rests_for_an_hour_or_until_the_credentials_change() {
    let mut line = Line::new();
    line.machine.session = Session::None;
    line.machine.signed_in(SignInOutcome::Refused, line.now);
    assert_eq!(line.step(), Step::Wait(Some(line.now + Duration::from_secs(3600))));
    line.pass(3601);
    assert_eq!(line.step(), Step::SignIn);
    line.machine.signed_in(SignInOutcome::Refused, line.now);
    line.machine.credentials_changed();
    assert_eq!(line.step(), Step::SignIn);
}

#[test]
fn a_refused_password_is_not_tried_again_for_an_unrelated_command_or_reload() {
    let mut line = Line::new();
    line.machine.session = Session::None;
    line.machine.signed_in(SignInOutcome::Refused, line.now);
    let rests = Step::Wait(Some(line.now + Duration::from_secs(3600)));
    line.machine.operator();
    assert_eq!(line.step(), rests, "records retry");
    line.machine.reconfigure(&Config::default());
    assert_eq!(line.step(), rests, "a reload");
    line.machine.hint();
    assert_eq!(line.step(), rests, "a link that came up");
    line.machine.begin_anew(&Config::default(), Vec::new(), line.now);
    line.pass(60);
    assert_eq!(line.step(), rests, "a full disk");
    assert_eq!(line.machine.trouble(), Some(&Trouble::Password));
}

#[test]
fn nobody_cuts_short_a_wait_that_the_server_asked_for() {
    let mut line = Line::new();
    let after = Some(Duration::from_secs(400));
    line.sent(&seqs(1..=2), &Verdict::Refused(Refusal::Wait { after }));
    let waits = Step::Wait(Some(line.now + Duration::from_secs(400)));
    line.machine.operator();
    assert_eq!(line.step(), waits, "records retry");
    line.machine.reconfigure(&Config::default());
    assert_eq!(line.step(), waits, "a reload");
    line.machine.begin_anew(&Config::default(), Vec::new(), line.now);
    assert_eq!(line.step(), waits, "a full disk");
    line.machine.credentials_changed();
    assert_eq!(line.step(), Step::SignIn, "it was asked of another login");
}

#[test]
fn an_operator_ends_the_waits_that_are_our_own() {
    let mut line = Line::new();
    line.sent(&seqs(1..=2), &Verdict::Refused(Refusal::Moved));
    assert!(matches!(line.step(), Step::Wait(Some(_))));
    line.machine.operator();
    assert_eq!(line.step(), Step::SignIn);
}

#[test]
fn an_api_that_moved_holds_everything_and_is_looked_for_every_five_minutes() {
    let mut line = Line::new();
    line.sent(&seqs(1..=2), &Verdict::Refused(Refusal::Moved));
    assert_eq!(line.machine.trouble(), Some(&Trouble::Moved));
    assert_eq!(line.step(), Step::Wait(Some(line.now + Duration::from_secs(300))));
}

#[test]
fn a_server_that_says_when_is_not_asked_before() {
    let mut line = Line::new();
    line.sent(
        &seqs(1..=2),
        &Verdict::Refused(Refusal::Wait { after: Some(Duration::from_secs(40)) }),
    );
    let Step::Wait(Some(until)) = line.step() else { panic!("no wait") };
    assert!(until - line.now >= Duration::from_secs(40));
}

#[test]
fn a_sign_in_is_not_repeated_before_the_server_wants_it() {
    let mut line = Line::new();
    line.machine.session = Session::None;
    line.machine.signed_in(SignInOutcome::Later(Some(Duration::from_secs(900))), line.now);
    line.machine.operator();
    assert_eq!(line.step(), Step::Wait(Some(line.now + Duration::from_secs(900))));
    line.pass(900);
    assert_eq!(line.step(), Step::SignIn);
}

#[test]
fn a_question_that_came_too_often_lets_sending_rest_too() {
    let wall = UtcMs(1_809_253_002_000);
    let minutes = Duration::from_secs(900);
    for retry_after in [RetryAfter::After(minutes), RetryAfter::At(UtcMs(wall.0 + 900_000))] {
        let mut line = Line::new();
        line.sent(&seqs(1..=3), &silence());
        line.pass(61);
        line.work();
        let why = Unbelievable::Status { status: 429, retry_after: Some(retry_after) };
        line.machine.not_settled(&key(A), &why, Some(wall), line.now);
        assert_eq!(line.step(), Step::Wait(Some(line.now + minutes)), "{retry_after:?}");
    }
}

#[test]
fn a_question_refused_until_a_date_waits_for_it_and_sending_goes_on() {
    let wall = UtcMs(1_809_253_002_000);
    let mut line = Line::new();
    line.sent(&seqs(1..=3), &silence());
    line.pass(61);
    line.work();
    let retry_after = Some(RetryAfter::At(UtcMs(wall.0 + 900_000)));
    let why = Unbelievable::Status { status: 503, retry_after };
    line.machine.not_settled(&key(A), &why, Some(wall), line.now);
    assert!(matches!(line.step(), Step::Send(..)));
    let until = line.machine.nothing_ready(&Pick::Oldest { skip: vec![], but: vec![] }, line.now);
    assert_eq!(until, Step::Wait(Some(line.now + Duration::from_secs(900))));
}

#[test]
fn a_server_that_may_be_sent_to_but_not_asked_is_sent_to() {
    let mut line = Line::new();
    line.sent(&seqs(1..=3), &silence());
    line.pass(61);
    assert_eq!(line.work(), Step::Settle(key(A)));
    line.machine.not_settled(&key(A), &Unbelievable::NeedsSignIn, None, line.now);
    for _ in 0..3 {
        assert!(matches!(line.step(), Step::Send(Pick::Oldest { .. }, _)));
        line.sent(&seqs(4..=5), &taken());
    }
    assert_eq!(line.machine.view("", None, line.now).acknowledged, 6);
    assert_eq!(line.machine.doubted(&key(A)), seqs(1..=3));
}

#[test]
fn an_empty_list_without_proof_is_believed_only_under_a_second_session() {
    let mut line = Line::new();
    line.sent(&seqs(1..=3), &silence());
    line.pass(61);
    assert_eq!(line.work(), Step::Settle(key(A)));
    let effects = line.found_empty(&seqs(1..=3));
    assert_eq!(effects, Effects::default(), "believed at once");
    assert_eq!(line.machine.doubted(&key(A)), seqs(1..=3));
    assert_eq!(line.step(), Step::SignIn);
    let first = line.now;
    assert_eq!(line.work(), Step::Settle(key(A)));
    assert_eq!(line.now, first, "under the new session it is asked at once");
    let effects = line.found_empty(&seqs(1..=3));
    assert_eq!(effects.results.len(), 3);
    assert!(effects.results.iter().all(|(_, outcome)| *outcome == Outcome::Open));
    assert!(line.machine.doubted(&key(A)).is_empty());
}

#[test]
fn a_list_that_was_asked_for_too_early_proves_no_absence_however_late_it_comes() {
    let mut line = Line::new();
    line.sent(&seqs(1..=2), &silence());
    line.pass(30);
    line.sent(&seqs(3..=4), &silence());
    line.pass(31);
    assert_eq!(line.work(), Step::Settle(key(A)));
    let asked = line.now;
    line.pass(35);
    let effects = line.found_slowly(asked, &seqs(1..=4));
    assert_eq!(effects.results, open(1..=2), "the second was in flight when the list was made");
    assert_eq!(line.machine.doubted(&key(A)), seqs(3..=4));
}

#[test]
fn a_server_that_says_no_to_everything_is_asked_and_sent_to_ever_more_rarely() {
    let mut line = Line::new();
    let end = line.now + Duration::from_secs(600);
    let mut risked = Vec::new();
    while line.now < end {
        match line.step() {
            Step::Wait(Some(until)) => line.now = until,
            Step::SignIn => line.machine.signed_in(SignInOutcome::In, line.now),
            Step::Settle(key) => {
                let why = Unbelievable::Status { status: 500, retry_after: None };
                line.machine.not_settled(&key, &why, None, line.now);
            }
            Step::Send(_, many) => {
                risked.push(many);
                line.sent(&[Seq(risked.len() as i64)], &said_no("maintenance"));
            }
            Step::Check(_) | Step::Wait(None) => panic!("nothing else to do"),
        }
        line.now += Duration::from_millis(50);
    }
    assert!(risked.len() < 60, "{} batches in ten minutes", risked.len());
    assert!(risked.iter().sum::<usize>() < 250, "{risked:?}");
}

#[test]
fn a_server_that_takes_ten_at_most_is_not_offered_more_again() {
    let mut line = Line::new();
    for size in [100, 50, 25, 13] {
        assert_eq!(oldest(&line.work()), size);
        line.sent(&seqs(1..=size as i64), &Verdict::Refused(Refusal::Smaller));
    }
    for _ in 0..5 {
        assert_eq!(oldest(&line.work()), 7);
        line.sent(&seqs(1..=7), &taken());
    }
    line.machine.operator();
    line.work();
    line.sent(&seqs(1..=7), &taken());
    assert_eq!(oldest(&line.work()), 56);
}

#[test]
fn a_record_that_is_too_large_by_itself_steps_aside_and_the_server_is_left_in_peace() {
    let mut line = Line::new();
    line.sent(&[Seq(1)], &Verdict::Refused(Refusal::Smaller));
    assert!(matches!(line.step(), Step::Wait(Some(_))));
    assert!(matches!(line.work(), Step::Send(Pick::Oldest { skip, .. }, 100) if skip == [Seq(1)]));
}

#[test]
fn batches_grow_again_after_one_record_was_too_large() {
    let mut line = Line::new();
    let mut size = oldest(&line.work());
    while size > 1 {
        line.sent(&seqs(1..=size as i64), &Verdict::Refused(Refusal::Smaller));
        size = oldest(&line.work());
    }
    line.sent(&[Seq(1)], &Verdict::Refused(Refusal::Smaller));
    assert_eq!(oldest(&line.work()), 1);
    let mut sizes = Vec::new();
    for _ in 0..140 {
        size = oldest(&line.work());
        sizes.push(size);
        line.sent(&seqs(1..=size as i64), &taken());
    }
    assert_eq!(sizes[..19], [1; 19], "grows too soon");
    assert_eq!(oldest(&line.work()), 100);
}

#[test]
fn a_server_that_takes_ten_at_most_refuses_one_batch_in_twenty() {
    let mut line = Line::new();
    let (mut taken_at_all, mut refused) = (0, 0);
    for _ in 0..300 {
        let size = oldest(&line.work());
        let fits = size <= 10;
        let verdict = if fits { taken() } else { Verdict::Refused(Refusal::Smaller) };
        line.sent(&seqs(1..=size as i64), &verdict);
        taken_at_all += usize::from(fits);
        refused += usize::from(!fits);
    }
    // Four to find the size, then one whenever a larger one is tried.
    assert!(refused <= 4 + taken_at_all / 20, "{refused} of {taken_at_all}");
}

#[test]
fn five_lone_refusals_of_one_job_with_the_same_words_hold_that_job_alone() {
    let mut line = Line::new();
    let mut last = Effects::default();
    for n in 1..=5 {
        line.work();
        line.sent(&[Seq(n)], &said_no("job closed"));
        line.work();
        last = line.found(&[], &[Seq(n)], true);
    }
    assert_eq!(last.refuse, Some((Some(key(A)), "job closed".to_owned())));
}

#[test]
fn trouble_is_over_once_nothing_is_in_doubt() {
    let mut line = Line::new();
    line.sent(&seqs(1..=2), &silence());
    assert_eq!(line.machine.trouble(), Some(&Trouble::Unclear));
    line.pass(61);
    line.work();
    line.found(&seqs(1..=2), &[], true);
    assert_eq!(line.machine.trouble(), None);
}

/// A list that lacks acknowledged records: what is written down of it.
fn lacking(line: &mut Line, lost: &[i64], missing: &[i64]) -> Option<Mend> {
    let seqs = |them: &[i64]| them.iter().copied().map(Seq).collect();
    let list = Checked { lost: seqs(lost), missing: seqs(missing), ..Checked::default() };
    line.machine.checked(&key(A), list, line.now, line.now)
}

fn idle(line: &mut Line) -> Step {
    for _ in 0..50 {
        let pick = match line.work() {
            Step::Send(pick, _) => pick,
            step => return step,
        };
        match line.machine.nothing_ready(&pick, line.now) {
            Step::Wait(Some(until)) => line.now = until,
            Step::SignIn => line.machine.signed_in(SignInOutcome::In, line.now),
            step => return step,
        }
    }
    panic!("nothing but waits");
}

#[test]
fn what_one_list_lacks_is_asked_about_again_later_and_under_another_session() {
    let mut line = Line::new();
    line.machine.check(key(A), false, line.now);
    assert_eq!(idle(&mut line), Step::Check(key(A)));
    let first = line.now;
    assert_eq!(lacking(&mut line, &[3, 4], &[9]), None, "one list proves nothing");
    let Step::Send(pick, _) = line.step() else { panic!("sending goes on") };
    let settled = first + Config::default().jobcloser.settle_after;
    assert_eq!(line.machine.nothing_ready(&pick, line.now), Step::Wait(Some(settled)));
    line.now = settled;
    let Step::Send(pick, _) = line.step() else { panic!("sending goes on") };
    assert_eq!(line.machine.nothing_ready(&pick, line.now), Step::SignIn, "a new session");
    assert_eq!(idle(&mut line), Step::Check(key(A)));
    let mend = lacking(&mut line, &[4, 5], &[9]).unwrap();
    assert_eq!((mend.lost, mend.missing), (seqs(4..=4), vec![Seq(9), Seq(5)]), "lacked twice");
    let Step::Send(pick, _) = line.step() else { panic!("sending goes on") };
    let Step::Wait(Some(until)) = line.machine.nothing_ready(&pick, line.now) else {
        panic!("waits")
    };
    assert!(until - line.now > Duration::from_secs(3600), "what can't be mended is no loop");
}

#[test]
fn what_an_operator_has_verified_comes_before_sending_and_is_told_after_two_lists() {
    let mut line = Line::new();
    line.machine.check_by_hand(key(A), false, line.now);
    assert_eq!(line.step(), Step::SignIn, "under a session of now");
    assert_eq!(line.work(), Step::Check(key(A)));
    assert_eq!(lacking(&mut line, &[], &[9]), None);
    line.machine.operator();
    assert!(matches!(line.work(), Step::Send(..)), "sending goes on");
    line.pass(60);
    assert_eq!(line.work(), Step::Check(key(A)), "another command ends no order");
    assert_eq!(lacking(&mut line, &[], &[9]).unwrap().missing, [Seq(9)]);
    assert_eq!(line.machine.next_check(), None, "it is told");
}

#[test]
fn only_an_operator_has_sent_again_what_may_be_there_and_only_what_two_lists_lack() {
    let list = |gone: &[i64]| Checked {
        missing: seqs(8..=9),
        gone: gone.iter().copied().map(Seq).collect(),
        ..Checked::default()
    };
    for resend in [false, true] {
        let mut line = Line::new();
        line.machine.check_by_hand(key(A), resend, line.now);
        assert_eq!(line.work(), Step::Check(key(A)));
        let now = line.now;
        let first = Checked { missing: seqs(9..=9), ..list(&[9]) };
        assert_eq!(line.machine.checked(&key(A), first, now, now), None, "one proves nothing");
        line.pass(60);
        assert_eq!(line.work(), Step::Check(key(A)));
        let now = line.now;
        let mend = line.machine.checked(&key(A), list(&[8, 9]), now, now).unwrap();
        let expected = if resend { (seqs(9..=9), seqs(8..=8)) } else { (vec![], seqs(8..=9)) };
        assert_eq!((mend.lost, mend.missing), expected);
    }
}

#[test]
fn a_verification_that_comes_too_often_leaves_the_server_alone() {
    let mut line = Line::new();
    line.machine.check_by_hand(key(A), false, line.now);
    assert_eq!(line.work(), Step::Check(key(A)));
    let retry_after = Some(RetryAfter::After(Duration::from_secs(120)));
    let why = Unbelievable::Status { status: 429, retry_after };
    line.machine.not_checked(&key(A), &why, None, line.now);
    assert_eq!(line.machine.at_rest(line.now), Some(Trouble::TooOften));
    let until = line.now + Duration::from_secs(120);
    assert_eq!(line.step(), Step::Wait(Some(until)), "nothing is sent either");
    line.pass(121);
    assert_eq!(line.machine.at_rest(line.now), None);
    assert!(matches!(line.work(), Step::Send(..)));
    assert_eq!(line.machine.trouble(), None, "it is over");
}

#[test]
fn a_question_about_a_job_that_is_not_answered_waits() {
    let mut line = Line::new();
    line.machine.check(key(A), false, line.now);
    assert_eq!(idle(&mut line), Step::Check(key(A)));
    line.machine.not_checked(&key(A), &Unbelievable::NotJson, None, line.now);
    let asked = line.now;
    assert_eq!(idle(&mut line), Step::Check(key(A)));
    assert!(line.now - asked >= Duration::from_secs(60), "{:?}", line.now - asked);
}

#[test]
fn an_acknowledged_record_that_is_gone_does_not_keep_a_job_in_doubt_for_ever() {
    let mut line = Line::new();
    line.sent(&seqs(1..=4), &taken());
    line.sent(&seqs(5..=6), &silence());
    line.pass(60);
    assert_eq!(line.work(), Step::Settle(key(A)));
    line.found_with(Some(Flaw::Lacks), &[], &seqs(5..=6));
    assert_eq!(line.work(), Step::Check(key(A)), "before anything else is sent");
    assert_eq!(lacking(&mut line, &[2], &[]), None);
    let settled = line.now + Config::default().jobcloser.settle_after;
    while line.now < settled {
        line.pass(1);
        if line.step() == Step::Settle(key(A)) {
            line.found_with(Some(Flaw::Lacks), &[], &seqs(5..=6));
        }
    }
    loop {
        match line.work() {
            Step::Check(of) => break assert_eq!(of, key(A)),
            Step::Settle(_) => drop(line.found_with(Some(Flaw::Lacks), &[], &seqs(5..=6))),
            step => panic!("{step:?}"),
        }
    }
    assert_eq!(lacking(&mut line, &[2], &[]).unwrap().lost, seqs(2..=2));
    assert_eq!(line.work(), Step::Settle(key(A)), "at once: what it lacked is to be sent again");
    assert_eq!(line.found(&[], &seqs(5..=6), true).results, open(5..=6));
}

#[test]
fn what_an_operator_took_out_is_asked_about_no_more_and_what_came_back_is() {
    let mut line = Line::new();
    line.sent(&seqs(1..=3), &silence());
    assert_eq!(line.machine.doubted(&key(A)), seqs(1..=3));
    let of = |seqs: Vec<Seq>| OpenAttempt { id: 1, key: key(A), seqs, carried: false };
    let left = vec![of(seqs(2..=2))];
    let open = seqs(2..=2).into_iter().collect();
    assert_eq!(line.machine.doubts_changed(&open, left, line.now), Effects::default());
    assert_eq!(line.machine.doubted(&key(A)), seqs(2..=2));
    line.machine.doubts_changed(&BTreeSet::new(), Vec::new(), line.now);
    line.pass(3600);
    assert!(matches!(line.work(), Step::Send(..)), "nothing left to ask about");

    line.machine.doubts_changed(&BTreeSet::new(), vec![of(seqs(1..=3))], line.now);
    assert!(matches!(line.work(), Step::Send(..)), "not before `settle_after`");
    line.pass(61);
    assert_eq!(line.work(), Step::Settle(key(A)));
}
