//! How two counts stand to each other: whether one may follow from the other at once, and
//! what a confirmed change means. Remembers nothing.

use super::registers::Turns;
use super::sequence::{self, Step};
use super::{GAP_MS, RestartFrom, Rules, Seen};

/// What lies between the last believed count and a confirmed suspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The meter counted on; `jump`: by more than the time passed explains.
    Forward { counts: u64, jump: bool },
    /// The count passed the modulus; `jump`: by more than the time passed explains, as the
    /// meter's register has it.
    Rollover { counts: u64, jump: bool },
    /// The last believed count was a damaged line, too high by so many counts.
    Correction { excess: u64 },
    /// The meter began again.
    Restart,
}

/// Milliseconds from one sample to a later one; `None` across a boot.
fn elapsed_ms(from: Seen, to: Seen) -> Option<i64> {
    Some(to.at?.0.saturating_sub(from.at?.0).max(0))
}

/// Whether a boot or more than a minute lies between them.
pub(super) fn is_gap(from: Seen, to: Seen) -> bool {
    elapsed_ms(from, to).is_none_or(|ms| ms > GAP_MS)
}

fn sequence_step(rules: &Rules, from: Seen, to: Seen) -> Step {
    sequence::step(rules.seq_modulus, from.seq, to.seq, elapsed_ms(from, to))
}

fn counts_between(from: Seen, to: Seen, most: u64) -> bool {
    to.raw.checked_sub(from.raw).is_some_and(|counts| counts <= most)
}

/// Whether `now` is believed on its own word. After a gap that is so only for what the
/// shortest time explains: the bound of a night would let any damaged line pass.
pub(super) fn at_once(rules: &Rules, last: Seen, now: Seen) -> bool {
    let elapsed = elapsed_ms(last, now).filter(|ms| *ms <= GAP_MS);
    counts_between(last, now, rules.bound(elapsed))
        && !now.registers.differ(last.registers)
        && matches!(sequence_step(rules, last, now), Step::Unknown | Step::Follows)
}

/// Whether `now` agrees with an earlier sample that it can be its continuation.
pub(super) fn follows(rules: &Rules, from: Seen, now: Seen) -> bool {
    let elapsed = elapsed_ms(from, now);
    let in_sequence = match sequence_step(rules, from, now) {
        Step::Unknown | Step::Follows => true,
        Step::Ahead => elapsed.is_none(),
        Step::Back => false,
    };
    in_sequence
        && !now.registers.differ(from.registers)
        && counts_between(from, now, rules.bound(elapsed))
}

/// What a confirmed suspect says of the last believed count; `before` is the believed one
/// before that.
pub(super) fn between(
    rules: &Rules,
    before: Option<Seen>,
    last: Seen,
    suspect: Seen,
    after_gap: bool,
) -> Change {
    let forward = suspect.raw.checked_sub(last.raw);
    if before.is_some_and(|before| was_damaged(rules, before, last, suspect)) {
        return match forward {
            Some(counts) => Change::Forward { counts, jump: false },
            None => Change::Correction { excess: last.raw.saturating_sub(suspect.raw) },
        };
    }
    if let Some(change) = by_registers(rules, last, suspect) {
        return change;
    }
    if restarted(rules, before, last, suspect) {
        return Change::Restart;
    }
    let elapsed = elapsed_ms(last, suspect);
    if let Some(counts) = forward {
        // Across a boot no bound is known, so nothing can be called a jump.
        return Change::Forward {
            counts,
            jump: elapsed.is_some() && counts > rules.bound(elapsed),
        };
    }
    // A damaged line that was too low leaves too much to the rollover after it: then the
    // count before it, if it is recent, speaks for the rollover.
    let witness = before.filter(|before| !is_gap(*before, suspect));
    let explained = [Some(last), witness].into_iter().flatten().any(|from| {
        counts_over_the_modulus(rules, from, suspect)
            .is_some_and(|counts| counts <= rules.bound(elapsed_ms(from, suspect)))
    });
    match counts_over_the_modulus(rules, last, suspect) {
        Some(counts) if explained && (!after_gap || rules.rollover_register) => {
            Change::Rollover { counts, jump: false }
        }
        _ => Change::Restart,
    }
}

/// What the meter's registers say of a change, where they were read before and after it.
///
/// How often the count passed its modulus makes it exact, also over a silence. Where that is
/// more than can have flowed the register isn't believed, since each turn too many would be a
/// whole modulus that never was; but for a single one with a lower count, which needs no more
/// than a greatest rate that is set too low.
///
/// A power-up is a restart, unless the count went on and is more than can have come since: such
/// a meter keeps its count, whatever its profile says, and a restart would bring all of it.
fn by_registers(rules: &Rules, last: Seen, suspect: Seen) -> Option<Change> {
    let elapsed = elapsed_ms(last, suspect);
    let kept = rules.restart_from == RestartFrom::Zero
        && suspect.raw >= last.raw
        && elapsed.is_some()
        && suspect.raw > rules.bound(elapsed);
    if suspect.registers.powered_up_since(last.registers) && !kept {
        return Some(Change::Restart);
    }
    let lower = suspect.raw < last.raw;
    match suspect.registers.turns_since(last.registers)? {
        Turns::Fell => Some(Change::Restart),
        Turns::By(0) => lower.then_some(Change::Restart),
        Turns::By(turns) => {
            let counts = rules
                .modulus
                .checked_mul(turns)
                .and_then(|all| all.checked_add(suspect.raw)?.checked_sub(last.raw))?;
            let jump = elapsed.is_some() && counts > rules.bound(elapsed);
            (!jump || (turns == 1 && lower)).then_some(Change::Rollover { counts, jump })
        }
    }
}

/// Counts from one to a lower one past the modulus.
fn counts_over_the_modulus(rules: &Rules, from: Seen, to: Seen) -> Option<u64> {
    rules.modulus.checked_sub(from.raw)?.checked_add(to.raw)
}

/// Whether `last` was a damaged line that was near enough to be believed: a fresh count
/// follows from the one before it, in count and sequence, as if `last` had not been.
/// A restart can only look the same where its count happens to fall between the two; what
/// it misses then is little, where a restart invented here would bring all that the meter
/// shows.
fn was_damaged(rules: &Rules, before: Seen, last: Seen, suspect: Seen) -> bool {
    if is_gap(last, suspect) {
        return false;
    }
    let elapsed = elapsed_ms(before, suspect).filter(|ms| *ms <= GAP_MS);
    follows(rules, before, suspect) && counts_between(before, suspect, rules.bound(elapsed))
}

/// Whether the sequence number says that the meter had no power in between.
///
/// A lower number means that, even if the count is higher; unless it was the last number
/// that was damaged, which the one before it shows. And where so much time may have
/// passed that the number wrapped (after a night it has), a count that no power-up so few
/// lines ago can explain shows that it did.
///
/// Across a boot a higher count with a lower number is one of two things: a meter that lost
/// its power too and has passed its old count since, or one with power of its own whose
/// number has wrapped, as it does in three nights of four. The first got its power with the
/// board or later, so its number is one that this boot's length explains. What it doesn't
/// explain is taken for a wrap: a restart would bring all that the meter shows, which the
/// other would invent.
fn restarted(rules: &Rules, before: Option<Seen>, last: Seen, to: Seen) -> bool {
    if sequence_step(rules, last, to) != Step::Back {
        return false;
    }
    let in_sequence = before.is_some_and(|before| {
        !is_gap(before, to) && sequence_step(rules, before, to) == Step::Follows
    });
    let may_have_wrapped = [Some(last), before]
        .into_iter()
        .flatten()
        .any(|from| sequence::may_wrap(rules.seq_modulus, from.seq, to.seq, elapsed_ms(from, to)));
    let since_power_up_ms = i64::from(to.seq.unwrap_or(0)) * 1_000;
    if elapsed_ms(last, to).is_none()
        && to.raw >= last.raw
        && to.at.is_some_and(|at| !sequence::began_with_the_board(to.seq, at.0))
    {
        return false;
    }
    let too_much_for_a_restart = rules.restart_from == RestartFrom::Zero
        && to.raw >= last.raw
        && to.raw > rules.bound(Some(since_power_up_ms));
    !(in_sequence || (may_have_wrapped && too_much_for_a_restart))
}
