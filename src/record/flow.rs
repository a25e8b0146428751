//! Whether liquid flows (RULES.md, 11): judged from volumes and the times of samples
//! alone. Knows no count, no K and no meter, and says nothing of a meter that is silent.

use std::collections::VecDeque;

use serde::Serialize;

use crate::clock::BootInstant;
use crate::units::UL_PER_GALLON;

/// Flow is judged by the volume of so long a time.
const WINDOW_MS: i64 = 5_000;

/// No count for so long, while samples arrive, is a stop.
const STILL_MS: i64 = 3_000;

/// Without a sample for so long a meter is silent, unless it speaks more slowly than that.
const SILENT_MS: i64 = 5_000;

/// A meter that is polled slowly is silent after this multiple of its pace...
const SILENT_PACES: i64 = 2;

/// ...but nothing is known of flow inside a hole longer than this (RULES.md, 7).
const LONGEST_PACE_MS: i64 = 60_000;

/// Intervals shorter than this are joined, so that the window stays below some 60
/// entries however fast a meter speaks.
const GRAIN_MS: i64 = 100;

/// A rate isn't told from less time than this.
const SHORTEST_RATE_MS: i64 = 500;

/// What the liquid does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowState {
    /// No sample, or too few since the meter was silent.
    #[default]
    Unknown,
    /// At least the cut-off over the last 5 s.
    Flowing,
    /// Some, but below the cut-off.
    Seeping,
    /// No count for 3 s.
    Stopped,
}

/// A change that a reading tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Flow began: it was known not to flow before.
    Start,
    /// Flow ended.
    Stop,
}

/// The last seconds of one meter's volume.
#[derive(Debug, Clone, Default)]
pub struct Flow {
    window: VecDeque<Interval>,
    heard: Option<BootInstant>,
    /// The last two intervals between samples; the shorter one is the meter's pace.
    paces_ms: [i64; 2],
    /// Since when every sample is accounted for.
    watched: Option<BootInstant>,
    /// The last count, or the start of the watch.
    still_since: Option<BootInstant>,
    state: FlowState,
    /// Whether flow has started and not stopped since; `None` until it is first known.
    running: Option<bool>,
    rate_gpm: Option<f64>,
}

/// Volume that was counted between two samples.
#[derive(Debug, Clone, Copy)]
struct Interval {
    from: BootInstant,
    to: BootInstant,
    ul: f64,
}

impl Flow {
    /// A believed sample `at` that brought `ul` microlitres since the one before it.
    pub fn saw(&mut self, at: BootInstant, ul: f64, cutoff_gpm: f64) -> Option<Turn> {
        let Some(heard) = self.heard else {
            self.watch_from(at);
            return None;
        };
        // First the pace: the second of two slow samples shows that the meter is slow.
        let pace_ms = at.since_ms(heard);
        self.paces_ms = [self.paces_ms[1], pace_ms];
        if pace_ms < 0 || pace_ms > self.silent_after_ms() {
            self.watch_from(at);
            return None;
        }
        self.heard = Some(at);
        self.push(Interval { from: heard, to: at, ul });
        if ul > 0.0 {
            self.still_since = Some(at);
        }
        self.state = self.judge(at, cutoff_gpm);
        self.rate_gpm = self.window_rate(at, cutoff_gpm);
        self.turn()
    }

    /// A believed sample `at` whose volume came at an unknown moment (after a gap, a
    /// restart, a jump): what is known of flow begins here.
    pub fn broke(&mut self, at: BootInstant) {
        self.watch_from(at);
    }

    /// What the liquid does `now`; a silent meter is unknown.
    pub fn state(&self, now: BootInstant) -> FlowState {
        match self.heard {
            Some(heard) if now.since_ms(heard) <= self.silent_after_ms() => self.state,
            _ => FlowState::Unknown,
        }
    }

    /// Gallons a minute over the last 5 s as of the last sample, 0 below the cut-off;
    /// `None` while too little is known.
    pub fn rate_gpm(&self) -> Option<f64> {
        self.rate_gpm
    }

    fn silent_after_ms(&self) -> i64 {
        let pace = self.paces_ms[0].min(self.paces_ms[1]).clamp(0, LONGEST_PACE_MS);
        SILENT_MS.max(pace.saturating_mul(SILENT_PACES).min(LONGEST_PACE_MS))
    }

    fn watch_from(&mut self, at: BootInstant) {
        self.window.clear();
        self.heard = Some(at);
        self.watched = Some(at);
        self.still_since = Some(at);
        self.state = FlowState::Unknown;
        self.rate_gpm = None;
    }

    fn push(&mut self, next: Interval) {
        match self.window.back_mut() {
            Some(last) if next.to.since_ms(last.from) <= GRAIN_MS => {
                last.to = next.to;
                last.ul += next.ul;
            }
            _ => self.window.push_back(next),
        }
        while self.window.front().is_some_and(|i| next.to.since_ms(i.to) >= WINDOW_MS) {
            self.window.pop_front();
        }
    }

    /// Microlitres inside the window that ends `at`; an interval that began before it
    /// counts in proportion.
    fn window_ul(&self, at: BootInstant) -> f64 {
        let begin = at.plus_ms(-WINDOW_MS);
        self.window.iter().map(|i| i.ul * i.part_after(begin)).sum()
    }

    fn window_rate(&self, at: BootInstant, cutoff_gpm: f64) -> Option<f64> {
        if self.state == FlowState::Stopped {
            return Some(0.0);
        }
        let covered_ms = at.since_ms(self.watched?).min(WINDOW_MS);
        if covered_ms < SHORTEST_RATE_MS {
            return None;
        }
        let gpm = self.window_ul(at) / UL_PER_GALLON * 60_000.0 / covered_ms as f64;
        Some(if gpm < cutoff_gpm { 0.0 } else { gpm })
    }

    fn judge(&self, at: BootInstant, cutoff_gpm: f64) -> FlowState {
        if self.still_since.is_some_and(|t| at.since_ms(t) >= STILL_MS) {
            return FlowState::Stopped;
        }
        let ul = self.window_ul(at);
        let enough = cutoff_gpm * UL_PER_GALLON * WINDOW_MS as f64 / 60_000.0;
        if ul > 0.0 && ul >= enough {
            return FlowState::Flowing;
        }
        let whole = self.watched.is_some_and(|t| at.since_ms(t) >= WINDOW_MS);
        if whole { FlowState::Seeping } else { FlowState::Unknown }
    }

    fn turn(&mut self) -> Option<Turn> {
        match (self.state, self.running) {
            (FlowState::Flowing, before) => {
                self.running = Some(true);
                (before == Some(false)).then_some(Turn::Start)
            }
            (FlowState::Stopped, before) => {
                self.running = Some(false);
                (before == Some(true)).then_some(Turn::Stop)
            }
            (FlowState::Seeping, None) => {
                self.running = Some(false);
                None
            }
            (FlowState::Seeping | FlowState::Unknown, _) => None,
        }
    }
}

impl Interval {
    /// The part of it, 0 to 1, that lies after `begin`.
    fn part_after(self, begin: BootInstant) -> f64 {
        let length = self.to.since_ms(self.from);
        if length <= 0 || self.from >= begin {
            return 1.0;
        }
        (self.to.since_ms(begin) as f64 / length as f64).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUTOFF: f64 = 0.05;

    /// Samples one a second from `from_s`, each with the volume of `gpm`.
    fn run(flow: &mut Flow, from_s: i64, seconds: i64, gpm: f64) -> Vec<(i64, Turn)> {
        let ul = gpm / 60.0 * UL_PER_GALLON;
        (from_s..from_s + seconds)
            .filter_map(|s| flow.saw(BootInstant(s * 1000), ul, CUTOFF).map(|t| (s, t)))
            .collect()
    }

    fn at(s: i64) -> BootInstant {
        BootInstant(s * 1000)
    }

    #[test]
    fn flow_starts_and_stops_once_each() {
        let mut flow = Flow::default();
        assert_eq!(run(&mut flow, 0, 10, 0.0), []);
        assert_eq!(flow.state(at(9)), FlowState::Stopped);
        assert_eq!(run(&mut flow, 10, 20, 2.0), [(10, Turn::Start)]);
        assert_eq!(flow.state(at(29)), FlowState::Flowing);
        assert_eq!(run(&mut flow, 30, 10, 0.0), [(32, Turn::Stop)]);
        assert_eq!(flow.state(at(39)), FlowState::Stopped);
    }

    #[test]
    fn a_drip_below_the_cut_off_seeps_and_does_not_start() {
        let mut flow = Flow::default();
        run(&mut flow, 0, 10, 0.0);
        assert_eq!(run(&mut flow, 10, 20, 0.04), []);
        assert_eq!(flow.state(at(29)), FlowState::Seeping);
        assert_eq!(flow.rate_gpm(), Some(0.0), "below the cut-off the rate is 0");
        assert_eq!(run(&mut flow, 30, 10, 0.0), [], "what never flowed doesn't stop");
    }

    #[test]
    fn flow_that_fades_to_a_drip_and_comes_back_neither_stops_nor_starts() {
        let mut flow = Flow::default();
        run(&mut flow, 0, 5, 0.0);
        run(&mut flow, 5, 10, 2.0);
        assert_eq!(run(&mut flow, 15, 10, 0.01), []);
        assert_eq!(flow.state(at(24)), FlowState::Seeping);
        assert_eq!(run(&mut flow, 25, 10, 2.0), []);
        assert_eq!(run(&mut flow, 35, 5, 0.0), [(37, Turn::Stop)]);
    }

    #[test]
    fn flow_that_ran_when_the_watch_began_was_not_seen_to_start() {
        let mut flow = Flow::default();
        assert_eq!(run(&mut flow, 0, 10, 2.0), []);
        assert_eq!(flow.state(at(9)), FlowState::Flowing);
        assert_eq!(run(&mut flow, 10, 5, 0.0), [(12, Turn::Stop)]);
    }

    #[test]
    fn a_silent_meter_is_unknown_and_no_stop_is_invented() {
        let mut flow = Flow::default();
        run(&mut flow, 0, 5, 0.0);
        run(&mut flow, 5, 10, 2.0);
        assert_eq!(flow.state(at(19)), FlowState::Flowing);
        assert_eq!(flow.state(BootInstant(19_001)), FlowState::Unknown);
        assert_eq!(run(&mut flow, 40, 10, 2.0), [], "it flowed before and flows again");
        assert_eq!(flow.state(at(49)), FlowState::Flowing);
    }

    #[test]
    fn flow_that_ended_in_silence_stops_when_samples_show_it() {
        let mut flow = Flow::default();
        run(&mut flow, 0, 5, 0.0);
        run(&mut flow, 5, 10, 2.0);
        assert_eq!(run(&mut flow, 40, 10, 0.0), [(43, Turn::Stop)]);
    }

    #[test]
    fn flow_that_began_in_silence_starts_when_samples_show_it() {
        let mut flow = Flow::default();
        run(&mut flow, 0, 5, 0.0);
        assert_eq!(run(&mut flow, 40, 10, 2.0), [(41, Turn::Start)]);
    }

    #[test]
    fn volume_of_an_unknown_moment_is_no_flow() {
        let mut flow = Flow::default();
        run(&mut flow, 0, 5, 0.0);
        flow.broke(at(5));
        assert_eq!(flow.state(at(5)), FlowState::Unknown);
        assert_eq!(flow.rate_gpm(), None);
        assert_eq!(run(&mut flow, 6, 5, 0.0), []);
        assert_eq!(flow.state(at(10)), FlowState::Stopped);
    }

    #[test]
    fn a_meter_polled_every_ten_seconds_flows_and_stops() {
        let mut flow = Flow::default();
        let mut turns = Vec::new();
        for (i, gpm) in [0.0, 0.0, 0.0, 2.0, 2.0, 2.0, 0.0].into_iter().enumerate() {
            let s = i as i64 * 10;
            let ul = gpm / 6.0 * UL_PER_GALLON;
            turns.extend(flow.saw(at(s), ul, CUTOFF).map(|t| (s, t)));
            if s == 50 {
                assert!((flow.rate_gpm().unwrap() - 2.0).abs() < 1e-9);
            }
        }
        assert_eq!(turns, [(30, Turn::Start), (60, Turn::Stop)]);
    }

    #[test]
    fn the_rate_is_that_of_the_last_five_seconds() {
        let mut flow = Flow::default();
        run(&mut flow, 0, 5, 0.0);
        run(&mut flow, 5, 10, 2.0);
        assert!((flow.rate_gpm().unwrap() - 2.0).abs() < 1e-9);
        run(&mut flow, 15, 1, 4.5);
        assert!((flow.rate_gpm().unwrap() - 2.5).abs() < 1e-9);
        run(&mut flow, 16, 3, 0.0);
        assert_eq!(flow.rate_gpm(), Some(0.0), "stopped is 0, whatever the window still holds");
    }

    #[test]
    fn the_window_stays_small_however_fast_the_meter_speaks() {
        let mut flow = Flow::default();
        for ms in 0..20_000 {
            flow.saw(BootInstant(ms), 10.0, CUTOFF);
        }
        assert!(flow.window.len() <= 60, "{}", flow.window.len());
        let gpm = 10.0 * 60_000.0 / UL_PER_GALLON;
        assert!((flow.rate_gpm().unwrap() - gpm).abs() < gpm * 0.01);
    }
}
